"""Randomness that depends only on (seed, stream, time), so that any row can be drawn without those before it.

A counter-based generator: a 64-bit key per stream, hashed with a row or knot number by the finaliser of splitmix64
(https://prng.di.unimi.it/splitmix64.c). Noise with memory is value noise: hashed normals at knots, interpolated by a
cubic B-spline and scaled to unit variance everywhere, summed over several time scales. Shapes: T rows, S services.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

__all__ = ["DAY", "HOUR", "MINUTE", "Noise"]

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_WANDER = ((12 * HOUR, 1.0), (4 * HOUR, 0.7), (80 * MINUTE, 0.5), (25 * MINUTE, 0.35), (8 * MINUTE, 0.25))


class Noise:
    """Random fields of all services at the times ``time_ms[T]``, which are ``step_ms`` apart."""

    def __init__(self, seed: int, services: Sequence[str], time_ms: np.ndarray, step_ms: int) -> None:
        self._seed = seed
        self._services = tuple(services)
        self._time_ms = time_ms
        self._rows = time_ms // step_ms

    def white(self, stream: str) -> np.ndarray:
        """Independent standard normals, ``[T, S]``."""
        return _normal(self._keys(stream), self._rows)

    def wander(self, stream: str, scales: Sequence[tuple[int, float]] = _WANDER) -> np.ndarray:
        """Noise with memory, ``[T, S]``, standard normal at each time; ``scales`` holds (milliseconds, weight)."""
        total = np.zeros((len(self._time_ms), len(self._services)))
        for scale, weight in scales:
            total += weight * self._spline(f"{stream}/{scale}", scale)
        return np.asarray(total / np.sqrt(sum(weight**2 for _, weight in scales)))

    def blips(self, stream: str, *, every: int, chance: float, shortest: int, longest: int) -> np.ndarray:
        """Benign bumps, ``[T, S]`` in 0..1: with probability ``chance`` one in each span of ``every`` milliseconds."""
        cell = self._time_ms // every
        within = (self._time_ms - cell * every)[:, None]
        happens, where, length, height = (
            _uniform(self._keys(f"{stream}/{part}"), cell) for part in ("happens", "where", "length", "height")
        )
        width = shortest + length * (longest - shortest)
        phase = (within - where * (every - width)) / width
        bump = np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 2, 0.0)
        return np.asarray(np.where(happens < chance, bump * (0.4 + 0.6 * height), 0.0))

    def _keys(self, stream: str) -> np.ndarray:
        return np.array([_key(f"{self._seed}/{service}/{stream}") for service in self._services], dtype=np.uint64)

    def _spline(self, stream: str, scale: int) -> np.ndarray:
        knot = self._time_ms // scale
        f = ((self._time_ms - knot * scale) / scale)[:, None]
        weights = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
        first = int(knot[0]) if len(knot) else 0
        last = int(knot[-1]) if len(knot) else 0
        knots = _normal(self._keys(stream), np.arange(first, last + 4, dtype=np.int64))
        at = knot - first
        total = weights[0] * knots[at]
        for j in (1, 2, 3):
            total += weights[j] * knots[at + j]
        return np.asarray(total / np.sqrt(sum(weight**2 for weight in weights)))


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _bits(keys: np.ndarray, counter: np.ndarray) -> np.ndarray:
    return _mix(_mix(counter.astype(np.int64).view(np.uint64))[:, None] ^ keys[None, :])


def _uniform(keys: np.ndarray, counter: np.ndarray) -> np.ndarray:
    return np.asarray((_bits(keys, counter) >> np.uint64(11)) * 2.0**-53)


def _normal(keys: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """Box-Muller on the two halves of the hash, ``[N, S]``."""
    bits = _bits(keys, counter)
    radius = np.sqrt(-2.0 * np.log(((bits >> np.uint64(32)) + 0.5) * 2.0**-32))
    return np.asarray(radius * np.cos((bits & np.uint64(0xFFFFFFFF)) * (2.0 * np.pi * 2.0**-32)))
