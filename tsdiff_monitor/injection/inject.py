"""Injection of anomalies into rows: place, duration, metrics and strength; every changed cell is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.injection.kinds import JUDGES, AnomalyType
from tsdiff_monitor.injection.placement import Placement, robust_spread

__all__ = ["AnomalyMix", "Injected", "InjectedAnomaly", "inject"]

_MOST = 0.5
"""Incidents fill at most this share of the rows: the rest must show what is normal."""
_VISIBLE = 0.3
"""At least half of an incident's rows must have a cell changed by at least so many spreads."""
_ATTEMPTS = 6
"""Choices of metrics and direction at one place; where nothing becomes visible, a still metric say, others follow."""
_SAMPLED_ROWS = 4000
"""Correlations are learned from about this many rows."""


@dataclass(frozen=True)
class AnomalyMix:
    """The ranges that incidents are drawn from, each inclusive and log-uniform."""

    rows: tuple[int, int] = (1, 300)
    """Duration."""
    magnitude: tuple[float, float] = (1.0, 10.0)
    """Change of level, noise and so on, in spreads of the metric."""
    breadth: tuple[float, float] = (0.0, 1.0)
    """Share of the metrics with values that are affected: 0 is one of them, 1 all."""
    gap: int = 10
    """Normal rows between two incidents, and at both ends, at least."""

    def __post_init__(self) -> None:
        if not 1 <= self.rows[0] <= self.rows[1]:
            raise ValueError(f"rows must be a range from 1 on, not {self.rows}")
        if not 0 < self.magnitude[0] <= self.magnitude[1]:
            raise ValueError(f"magnitude must be a range above 0, not {self.magnitude}")
        if not 0 <= self.breadth[0] <= self.breadth[1] <= 1:
            raise ValueError(f"breadth must be a range within 0 and 1, not {self.breadth}")
        if self.gap < 1:
            raise ValueError(f"gap must be at least 1, not {self.gap}")


@dataclass(frozen=True)
class InjectedAnomaly:
    """One anomaly in rows ``start <= t < end`` of ``metrics`` (columns, in order).

    Its first and last row are changed. ``magnitude`` is the mean absolute change of the changed cells in spreads of
    their metrics; 0 where values were taken away only.
    """

    kind: str
    start: int
    end: int
    metrics: tuple[int, ...]
    magnitude: float


@dataclass(frozen=True, eq=False)
class Injected:
    """``values[T, K]`` with incidents, ``labels[T]``: their rows, ``cells[T, K]``: every changed cell and no other."""

    values: np.ndarray
    labels: np.ndarray
    cells: np.ndarray
    incidents: tuple[InjectedAnomaly, ...]


def inject(
    values: np.ndarray,
    *,
    generator: np.random.Generator,
    incidents: int | None = None,
    share: float | None = None,
    kinds: Mapping[str, AnomalyType] = JUDGES,
    mix: AnomalyMix | None = None,
) -> Injected:
    """Put ``incidents`` many, or the ``share`` of rows, into normal ``values[T, K]`` (float, any units, NaN = missing).

    All ``kinds`` take turns, in random order. One incident affects a metric and, with a breadth above one, those that
    correlate with it most, which rise and fall as their correlation says; none falls below its lowest value. Incidents
    never overlap. Where one would change nothing visibly (a still metric cannot freeze), another kind takes its place;
    there are fewer than asked for where none would, or where there is no room. The labelled rows are never more than
    the share asked for, or half of all. ``values`` stay as they are; the same generator state gives the same result.

    Raises :class:`DataError` for values that are no table, and ``ValueError`` unless one of ``incidents`` and ``share``
    is given.
    """
    if values.ndim != 2:
        raise DataError(f"incidents are put into rows [T, K], but the values have the shape {values.shape}")
    if (incidents is None) == (share is None):
        raise ValueError("give either a number of incidents or a share of the rows")
    if not kinds or (share is not None and not 0 <= share <= _MOST) or (incidents is not None and incidents < 0):
        raise ValueError(f"incidents must not be negative, share from 0 to {_MOST}, and kinds not empty")
    mix = mix or AnomalyMix()
    before = values.astype(np.float64)
    after = values.copy()
    done = []
    if not np.isnan(before).all():
        spread = robust_spread(before)
        correlation = _correlation(before, spread)
        for name, start, end in _placed(len(values), kinds, mix, generator, incidents, share):
            others = [each for each in generator.permutation(list(kinds)) if kinds[each].takes(end - start)]
            for attempt in [name] * _ATTEMPTS + others:
                placement = _placement(before, start, end, spread, correlation, mix, generator)
                if incident := _apply(str(attempt), kinds[attempt], placement, after, generator):
                    done.append(incident)
                    break
    cells = (after != values) & ~(np.isnan(after) & np.isnan(values))
    labels = np.zeros(len(values), dtype=bool)
    for incident in done:
        labels[incident.start : incident.end] = True
    return Injected(after, labels, cells, tuple(done))


def _placed(
    T: int,
    kinds: Mapping[str, AnomalyType],
    mix: AnomalyMix,
    generator: np.random.Generator,
    incidents: int | None,
    share: float | None,
) -> list[tuple[str, int, int]]:
    """Kind, first row and end of each incident, in order of time."""
    left = int(T * (_MOST if share is None else share))
    most = left if incidents is None else incidents
    each = mix.rows[1] if incidents is None else max(left // max(incidents, 1), 1)
    lengths: list[tuple[str, int]] = []
    turn: list[str] = []
    skipped = 0
    while len(lengths) < most and skipped < len(kinds):
        if not turn:
            turn = [str(name) for name in generator.permutation(list(kinds))]
        name = turn.pop()
        longest = kinds[name].longest or T
        low = min(max(kinds[name].shortest, mix.rows[0]), longest)
        high = max(min(mix.rows[1], longest, each), low)
        room = min(left, T - sum(length for _, length in lengths) - mix.gap * (len(lengths) + 2))
        if low > room:
            skipped += 1
            continue
        skipped = 0
        length = min(round(_log_uniform(low, high, generator)), room)
        lengths.append((name, length))
        left -= length
    lengths = [lengths[i] for i in generator.permutation(len(lengths))]
    # The rows to spare fall between the incidents at random.
    spare = T - sum(length for _, length in lengths) - mix.gap * (len(lengths) + 1)
    cuts = np.sort(generator.integers(0, max(spare, 0) + 1, len(lengths)))
    placed, taken = [], 0
    for (name, length), cut in zip(lengths, cuts.tolist(), strict=True):
        taken += mix.gap
        placed.append((name, cut + taken, cut + taken + length))
        taken += length
    return placed


def _placement(
    before: np.ndarray,
    start: int,
    end: int,
    spread: np.ndarray,
    correlation: np.ndarray,
    mix: AnomalyMix,
    generator: np.random.Generator,
) -> Placement:
    """A metric that has values there, and those that correlate with it."""
    there = np.flatnonzero((~np.isnan(before[start:end])).any(0))
    there = there if there.size else np.arange(before.shape[1])
    low, high = (1 + limit * (there.size - 1) for limit in mix.breadth)
    count = int(_log_uniform(low, high, generator) + generator.random())
    first = generator.choice(there)
    # With some chance in it, or the same metrics would always be affected together.
    closeness = np.abs(correlation[first, there]) + generator.uniform(0, 0.3, there.size)
    closeness[there == first] = np.inf
    metrics = np.sort(there[np.argsort(-closeness)[: min(max(count, 1), there.size)]])
    magnitude = _log_uniform(*mix.magnitude, generator)
    directions = generator.choice([-1.0, 1.0]) * np.where(correlation[first, metrics] < 0, -1.0, 1.0)
    known = before[:, metrics]
    lowest = np.where(np.isnan(known), np.inf, known).min(0)
    now = known[start:end]
    least = np.where(np.isnan(now), np.inf, now).min(0)
    # A share or a count cannot fall below its floor, and a value of -5 where there was never less than 0 is no test.
    directions = np.where(least - magnitude * spread[metrics] < lowest, 1.0, directions)
    return Placement(before, start, end, metrics, directions, magnitude, spread[metrics])


def _apply(
    name: str, kind: AnomalyType, placement: Placement, after: np.ndarray, generator: np.random.Generator
) -> InjectedAnomaly | None:
    """Write the incident into ``after[T, K]`` if it is visible; gives the anomaly, or None."""
    now = placement.now
    new = kind.change(placement, generator)
    # Of the values that a change has none for, because they lie in a gap at another time, the old ones stay.
    replaced = ~np.isnan(now) & (~np.isnan(new) | np.isnan(new).all())
    new = np.where(replaced, new, now).astype(after.dtype)
    old = now.astype(after.dtype)
    gone = np.isnan(new) & ~np.isnan(old)
    distance = np.where(np.isnan(new), 0.0, np.abs(new.astype(np.float64) - old) / placement.spread)
    visible = (gone | (distance >= _VISIBLE)).any(1)
    if 2 * visible.sum() < placement.rows:
        return None
    changed = gone | (distance > 0)
    rows = np.flatnonzero(changed.any(1))
    metrics = placement.metrics[changed.any(0)]
    after[placement.start : placement.end, placement.metrics] = new
    moved = distance[changed & ~gone]
    magnitude = float(moved.mean()) if moved.size else 0.0
    start, end = placement.start + int(rows[0]), placement.start + int(rows[-1]) + 1
    return InjectedAnomaly(name, start, end, tuple(metrics.tolist()), magnitude)


def _log_uniform(low: float, high: float, generator: np.random.Generator) -> float:
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def _correlation(values: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Correlations ``[K, K]`` of all but extreme values; 0 where there is none."""
    rows = values[:: max(len(values) // _SAMPLED_ROWS, 1)]
    seen = ~np.isnan(rows)
    filled = np.where(seen, rows, 0.0)
    mean = filled.sum(0) / np.maximum(seen.sum(0), 1)
    z = np.where(seen, np.clip((filled - mean) / spread, -5.0, 5.0), 0.0)
    z -= z.mean(0)
    deviation = np.sqrt((z**2).mean(0))
    z /= np.where(deviation > 0, deviation, 1.0)
    return np.asarray(z.T @ z / max(len(z), 1))
