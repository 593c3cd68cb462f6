"""From load to metrics: how the services of a fleet work, and how trouble in one reaches the others.

Load flows down the call graph, latency and errors flow up it. Shapes: T rows, S services. The formulas and their
sources are in docs/simulator.md; nothing here keeps state, so any span can be computed on its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdiff_connectors.simulator.fleet import METRICS, Fleet
from tsdiff_connectors.simulator.noise import DAY, HOUR, MINUTE, Noise
from tsdiff_connectors.simulator.season import PEAK, season, served

__all__ = ["Effects", "simulate", "waiting_factor"]

_QUEUE_LIMIT = 0.97  # beyond this a real service sheds load instead of queueing for ever
_CLEANUP = 30 * MINUTE
_JITTER = ((9 * HOUR, 1.0),)
_COST = ((6 * HOUR, 1.0), (90 * MINUTE, 0.7), (20 * MINUTE, 0.5))
# Quantile of a sojourn: factors on service time (lognormal) and on waiting time (exponential, -ln(1 - p)), and the
# exponent that turns calls per request into the share of requests of that quantile which wait for the callee.
_QUANTILES = {
    "latency_p50_ms": (0.85, 0.69, 1.0),
    "latency_p95_ms": (1.9, 3.0, 0.3),
    "latency_p99_ms": (2.8, 4.6, 0.15),
}
_QUANTILE_NOISE = {"latency_p50_ms": 0.02, "latency_p95_ms": 0.035, "latency_p99_ms": 0.06}


@dataclass(frozen=True)
class Effects:
    """Changes by incidents at their source, each ``[T, S]`` and 0 in quiet times."""

    traffic_lost: np.ndarray
    """Share of the incoming requests that does not arrive, 0..1."""
    cpu_taken: np.ndarray
    """Utilisation taken by a runaway process."""
    cpu_stolen: np.ndarray
    """Share of the capacity taken by other tenants of the machine, 0..1."""
    delay: np.ndarray
    """Extra time in the service, in multiples of its service time."""
    failures: np.ndarray
    """Share of the requests that fail in the service."""
    leak: np.ndarray
    """Leaked memory, in units of 0.42 heaps."""
    loss: np.ndarray
    """Share of the packets lost."""

    @classmethod
    def none(cls, rows: int, services: int) -> Effects:
        """Quiet times."""
        return cls(*(np.zeros((rows, services)) for _ in range(7)))


def waiting_factor(utilisation: np.ndarray, cores: np.ndarray) -> np.ndarray:
    """Mean wait in an M/M/c queue in units of the service time (Sakasegawa 1977); rises with utilisation in 0..1."""
    busy = np.clip(utilisation, 0.0, _QUEUE_LIMIT)
    return np.asarray(busy ** (np.sqrt(2 * (cores + 1)) - 1) / (cores * (1 - busy)))


def simulate(fleet: Fleet, noise: Noise, time_ms: np.ndarray, effects: Effects) -> dict[str, np.ndarray]:
    """Every metric of :data:`METRICS` at ``time_ms[T]``, each ``[T, S]`` and non-negative."""
    cores = fleet.column("cores")
    requests = _requests(fleet, noise, time_ms, effects)
    relative = requests / fleet.nominal_rps

    cost = np.exp(0.03 * noise.wander("cpu_cost", _COST) + 0.015 * noise.white("cpu_cost"))
    cost *= 1 + 0.12 * noise.blips("cpu_batch", every=6 * HOUR, chance=0.7, shortest=4 * MINUTE, longest=9 * MINUTE)
    needed = 0.03 + relative / PEAK * fleet.column("peak_utilisation") * cost
    utilisation = (needed + effects.cpu_taken + 0.1 * effects.leak) / (1 - effects.cpu_stolen)

    saw, since_gc_ms = _garbage(fleet, noise, time_ms)
    pause = 6.0 * (0.3 + 0.7 * relative) * (1 + 3.0 * effects.leak) * np.exp(0.1 * noise.white("gc_pause"))
    pause += 11.0 * np.exp(-since_gc_ms / (75_000.0)) * np.exp(0.1 * noise.white("gc_major"))

    wait = fleet.column("service_ms") / (1 - effects.cpu_stolen) * waiting_factor(utilisation, cores)
    quantiles, mean_ms = _latency(fleet, noise, wait, pause, effects)
    errors = _errors(fleet, noise, utilisation, effects)
    in_flight = requests * mean_ms / 1000.0
    connections = (8.0 + 1.6 * in_flight) * np.exp(0.025 * noise.white("connections"))

    heap = fleet.column("heap_mb")
    occupied = 0.36 + 0.1 * saw + 0.008 * noise.wander("memory") + 0.003 * noise.white("memory")
    memory = heap * np.clip(occupied + 0.42 * effects.leak, 0.05, 0.98) + 0.4 * connections

    disk, cleaning = _disk(fleet, noise, time_ms)
    io = 12.0 + requests * fleet.column("io_per_request") * np.exp(0.03 * noise.wander("disk_io", _COST))
    io *= (1 + 0.3 * noise.blips("backup", every=6 * HOUR, chance=0.7, shortest=5 * MINUTE, longest=12 * MINUTE)) * (
        1 + 0.2 * cleaning
    )
    io *= (1 + 1.5 * effects.failures) * np.exp(0.05 * noise.white("disk_io"))  # failures write stack traces

    goodput = 1 - np.clip(5.0 * effects.loss, 0, 0.9)
    request_mbit = fleet.column("request_kb") * 8 / 1000 + fleet.calls @ fleet.column("response_kb") * 8 / 1000
    response_mbit = fleet.column("response_kb") * 8 / 1000 + fleet.calls @ fleet.column("request_kb") * 8 / 1000
    size = np.exp(0.02 * noise.wander("payload", _COST))
    inbound = requests * request_mbit * size * goodput * np.exp(0.02 * noise.white("network_in"))
    outbound = (
        requests * response_mbit * size * goodput * (1 - 0.8 * errors) * np.exp(0.02 * noise.white("network_out"))
    )
    packets = 90.0 * (inbound + outbound)  # full-size frames of 1500 bytes
    retransmits = packets * (0.0004 * np.exp(0.15 * noise.wander("loss", _COST)) + 0.4 * effects.loss)
    retransmits *= np.exp(0.12 * noise.white("retransmits"))

    metrics = {
        "requests_per_second": requests,
        "error_ratio": errors,
        **quantiles,
        "connections": connections,
        "cpu_percent": np.clip(100 * np.minimum(utilisation, 0.99) + 0.5 * noise.white("cpu"), 0.5, 100),
        "load_1": cores * np.minimum(utilisation, 1.0) * np.exp(0.05 * noise.white("load_1"))
        + cores * np.clip(utilisation, 0, _QUEUE_LIMIT) * waiting_factor(utilisation, cores),
        "memory_mb": memory,
        "gc_pause_ms": pause,
        "disk_used_percent": disk,
        "disk_io_ops": io,
        "network_in_mbps": inbound,
        "network_out_mbps": outbound,
        "retransmits_per_second": retransmits,
    }
    return {name: metrics[name] for name in METRICS}


def _requests(fleet: Fleet, noise: Noise, time_ms: np.ndarray, effects: Effects) -> np.ndarray:
    """Load: outside traffic follows the season, inner traffic follows the callers; noise per service."""
    mix = np.exp(0.035 * noise.wander("traffic") + 0.018 * noise.white("traffic"))
    mix *= 1 + 0.16 * noise.blips("burst", every=5 * HOUR, chance=0.75, shortest=3 * MINUTE, longest=8 * MINUTE)
    arriving = mix * (1 - effects.traffic_lost) * (1 - 1.5 * np.clip(effects.loss, 0, 0.5))
    requests = np.multiply.outer(season(time_ms), fleet.column("outside_rps"))
    for s in range(len(fleet.names)):
        for caller in range(s):
            requests[:, s] += requests[:, caller] * fleet.calls[caller, s]
        requests[:, s] *= arriving[:, s]
    return np.asarray(requests)


def _latency(
    fleet: Fleet, noise: Noise, wait: np.ndarray, pause: np.ndarray, effects: Effects
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Latency quantiles and the mean, in ms: own service, delay and wait, plus what the callees take."""
    common = np.exp(0.025 * noise.wander("service_time", _COST) + 0.015 * noise.white("service_time"))
    common *= 1 + 0.15 * noise.blips("cold", every=6 * HOUR, chance=0.7, shortest=3 * MINUTE, longest=7 * MINUTE)
    own = fleet.column("service_ms") * common * (1 / (1 - effects.cpu_stolen) + effects.delay)
    mean = _up(fleet, own + wait + 150.0 * effects.loss, 1.0)
    quantiles = {}
    for name, (of_service, of_wait, sharing) in _QUANTILES.items():
        # a lost packet costs a retransmission timeout (200 ms), which only the slowest requests meet in full
        timeouts = {"latency_p50_ms": 60.0, "latency_p95_ms": 1500.0, "latency_p99_ms": 3000.0}[name] * effects.loss
        local = of_service * own + of_wait * wait + timeouts
        local = local + (0.3 * pause if name == "latency_p99_ms" else 0.0)
        quantiles[name] = _up(fleet, local, sharing) * np.exp(_QUANTILE_NOISE[name] * noise.white(name))
    return quantiles, mean


def _up(fleet: Fleet, local: np.ndarray, sharing: float) -> np.ndarray:
    """Add to each service what its callees contribute, callees first."""
    total = local.copy()
    for s in reversed(range(len(fleet.names))):
        for callee in range(s + 1, len(fleet.names)):
            if fleet.calls[s, callee] > 0:
                total[:, s] += total[:, callee] * fleet.calls[s, callee] ** sharing
    return total


def _errors(fleet: Fleet, noise: Noise, utilisation: np.ndarray, effects: Effects) -> np.ndarray:
    """Share of failed requests: a small base, timeouts near saturation, and what callees could not answer."""
    saturated = 0.6 * np.clip(np.minimum(utilisation, 1.0) - 0.8, 0, None) ** 2
    own = 0.0015 + saturated + effects.failures + 0.5 * effects.loss + 0.002 * np.clip(effects.delay, 0, 5)
    own = own * np.exp(0.15 * noise.wander("errors", _COST) + 0.12 * noise.white("errors"))
    total = own.copy()
    for s in reversed(range(len(fleet.names))):
        for callee in range(s + 1, len(fleet.names)):  # a retry saves a fifth of them
            total[:, s] += 0.8 * np.minimum(fleet.calls[s, callee], 1.0) * total[:, callee]
    return np.asarray(np.minimum(total, 1.0))


def _garbage(fleet: Fleet, noise: Noise, time_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The heap's saw tooth in 0..1 and the milliseconds since the last major collection, ``[T, S]`` each."""
    cycles = fleet.column("gc_cycles")
    phase = np.multiply.outer(served(time_ms), cycles) + 0.3 * noise.wander("gc_phase", _JITTER)
    saw = phase - np.floor(phase)
    return saw, saw / np.multiply.outer(season(time_ms), cycles) * DAY


def _disk(fleet: Fleet, noise: Noise, time_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disk use in percent, filled by what is served and emptied every day, and how busy the clean-up is, 0..1."""
    start = np.round(fleet.column("cleanup_hour") * HOUR).astype(np.int64)
    cleaned = (time_ms[:, None] - start) // DAY * DAY + start
    fresh = served(np.broadcast_to(time_ms[:, None], cleaned.shape)) - served(cleaned)
    old = served(cleaned) - served(cleaned - DAY)
    done = np.clip((time_ms[:, None] - cleaned) / _CLEANUP, 0, 1)
    used = fleet.column("disk_percent") + 5.0 * (fresh + (1 - done) * old)
    used += 0.25 * noise.wander("disk") + 0.04 * noise.white("disk")
    return np.asarray(np.clip(used, 0.0, 100.0)), np.asarray(np.sin(np.pi * done) ** 2)
