"""Incidents: when they happen, what they change at their source, and which services they visibly reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from tsdiff_connectors.simulator.config import IncidentKind, ScheduledIncident, SimulatorConfig
from tsdiff_connectors.simulator.fleet import Fleet
from tsdiff_connectors.simulator.noise import HOUR, MINUTE, Noise
from tsdiff_connectors.simulator.physics import Effects, simulate

__all__ = ["Occurrence", "effects", "milliseconds", "occurrences", "reached"]

_CULPRITS: Mapping[IncidentKind, tuple[str, ...]] = {
    "memory_leak": ("memory_mb", "gc_pause_ms"),
    "cpu_saturation": ("cpu_percent", "load_1"),
    "slow_dependency": ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"),
    "error_burst": ("error_ratio",),
    "traffic_drop": ("requests_per_second",),
    "network_loss": ("retransmits_per_second", "network_in_mbps", "network_out_mbps"),
    "noisy_neighbour": ("cpu_percent", "load_1"),
}
# What an incident of severity 1 changes at its source, and the most it can at any severity.
_STRENGTH: Mapping[IncidentKind, tuple[str, float, float]] = {
    "memory_leak": ("leak", 1.0, 3.0),
    "cpu_saturation": ("cpu_taken", 0.45, 3.0),
    "slow_dependency": ("delay", 4.0, 60.0),
    "error_burst": ("failures", 0.08, 0.9),
    "traffic_drop": ("traffic_lost", 0.6, 0.98),
    "network_loss": ("loss", 0.06, 0.3),
    "noisy_neighbour": ("cpu_stolen", 0.4, 0.9),
}
_CLEAR = 3.0
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Occurrence:
    """One incident at its time: it acts on the rows ``start_ms <= t < end_ms`` and on no others."""

    incident: ScheduledIncident
    start_ms: int
    end_ms: int

    @property
    def culprits(self) -> tuple[str, ...]:
        """The metrics physically at its source."""
        return self.incident.metrics or _CULPRITS[self.incident.kind]

    def active(self, time_ms: np.ndarray) -> np.ndarray:
        """Which of the times it acts on, ``[T]``."""
        return (time_ms >= self.start_ms) & (time_ms < self.end_ms)

    def envelope(self, time_ms: np.ndarray, step_ms: int) -> np.ndarray:
        """Its strength in 0..1 at each time, ``[T]``: a short rise and fall; a leak grows until the restart."""
        lasts = self.end_ms - self.start_ms
        rise, fall = (lasts, 2 * MINUTE) if self.incident.kind == "memory_leak" else (4 * MINUTE, 3 * MINUTE)
        rise, fall = min(rise, lasts), min(fall, lasts // 4)
        up = np.clip((time_ms - self.start_ms + step_ms) / max(rise, step_ms), 0, 1)
        down = np.clip((self.end_ms - time_ms) / max(fall, step_ms), 0, 1)
        return np.where(self.active(time_ms), up * down, 0.0)


def milliseconds(time: datetime | timedelta) -> int:
    """A time since the epoch, or a span, in whole milliseconds."""
    span = time if isinstance(time, timedelta) else time - _EPOCH
    return span // timedelta(milliseconds=1)


def occurrences(config: SimulatorConfig, start_ms: int, end_ms: int) -> tuple[Occurrence, ...]:
    """The incidents that act somewhere in ``start_ms <= t < end_ms``, in order of time."""
    replay_ms = milliseconds(config.start) + milliseconds(config.history)
    every_ms = milliseconds(config.repeat_every) if config.repeat_every else None
    found = []
    for incident in config.schedule:
        first = replay_ms + milliseconds(incident.after)
        lasts = milliseconds(incident.lasts)
        if every_ms is None:
            rounds = range(1)
        else:
            rounds = range(max(0, (start_ms - first - lasts) // every_ms), max(0, (end_ms - first) // every_ms + 1))
        starts = (first if every_ms is None else first + number * every_ms for number in rounds)
        found += [Occurrence(incident, at, at + lasts) for at in starts if at < end_ms and at + lasts > start_ms]
    return tuple(sorted(found, key=lambda one: one.start_ms))


def effects(fleet: Fleet, found: Sequence[Occurrence], time_ms: np.ndarray, step_ms: int) -> Effects:
    """Changes by these incidents at the times ``time_ms[T]``; those of one kind and service add up."""
    result = Effects.none(len(time_ms), len(fleet.names))
    for one in found:
        if one.incident.kind not in _STRENGTH:
            continue
        name, strength, most = _STRENGTH[one.incident.kind]
        column = getattr(result, name)[:, fleet.names.index(one.incident.service)]
        column += strength * one.incident.severity * one.envelope(time_ms, step_ms)
        np.minimum(column, most, out=column)
    return result


def reached(fleet: Fleet, seed: int, step_ms: int, one: Occurrence) -> dict[str, tuple[str, ...]]:
    """The services an incident visibly reaches, and by which metrics.

    Its own service comes first with the culprits. Another one is reached by the metrics that the incident alone moves,
    in the median over its rows, by more than three times what they vary in the hours around it without the incident.
    """
    result = {one.incident.service: one.culprits}
    if one.incident.kind not in _STRENGTH:
        return result
    first, last = (one.start_ms - HOUR) // step_ms, -(-(one.end_ms + HOUR) // step_ms)
    time_ms = np.arange(first, last, dtype=np.int64) * step_ms
    inside = one.active(time_ms)
    if not inside.any():
        return result
    noise = Noise(seed, fleet.names, time_ms, step_ms)
    quiet = simulate(fleet, noise, time_ms, Effects.none(len(time_ms), len(fleet.names)))
    moved = simulate(fleet, noise, time_ms, effects(fleet, [one], time_ms, step_ms))
    clear = {
        name: np.median(np.abs(moved[name] - quiet[name])[inside], axis=0) > _CLEAR * quiet[name].std(axis=0) + 1e-9
        for name in quiet
    }
    for s, service in enumerate(fleet.names):
        metrics = tuple(name for name in quiet if clear[name][s])
        if service != one.incident.service and metrics:
            result[service] = metrics
    return result
