"""The types of anomalies, each a function from a placement to the new values of its cells ``[D, M]``.

They follow the categories of time-series anomalies that both surveys use (arXiv 2501.11430, 2506.09368): of points, of
context (a value that is usual, but not there), of the pattern, and of the relation between metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.injection.placement import Placement

__all__ = ["JUDGES", "KINDS", "AnomalyType", "Perturbation"]

Perturbation = Callable[[Placement, np.random.Generator], np.ndarray]
"""New values ``[D, M]`` of a placement's cells; they are written where a value was, so a gap stays one."""

_DECAY = 0.6


@dataclass(frozen=True)
class AnomalyType:
    """A way to change an incident's cells, with the number of rows that it takes."""

    change: Perturbation
    shortest: int = 1
    longest: int | None = None

    def takes(self, rows: int) -> bool:
        """True if an incident of this type may last ``rows`` rows."""
        return self.shortest <= rows <= (self.longest or rows)


def spike(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """A jump that decays within a few rows."""
    del generator
    return np.asarray(placement.now + placement.step * _DECAY ** np.arange(placement.rows)[:, None])


def level_shift(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """Another level, the movements around it as they were."""
    del generator
    return np.asarray(placement.now + placement.step)


def drift(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """Further away with every row."""
    del generator
    return np.asarray(placement.now + placement.step * np.linspace(0, 1, placement.rows + 1)[1:, None])


def noise(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """A burst of white noise on top."""
    return np.asarray(placement.now + np.abs(placement.step) * generator.standard_normal(placement.now.shape))


def variance(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """The metric's own movements around their mean, much larger or much smaller."""
    factor = (1.0 + placement.magnitude) ** generator.choice([-1.0, 1.0])
    seen = ~np.isnan(placement.now)
    mean = np.where(seen, placement.now, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return np.asarray(mean + factor * (placement.now - mean))


def period(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """The metric's own course, faster or slower: rows read at another speed, from where the incident begins."""
    factor = generator.uniform(1.5, 4.0) ** generator.choice([-1.0, 1.0])
    wanted = placement.start + factor * np.arange(placement.rows)
    last = len(placement.values) - 1
    wanted = last - np.abs(last - wanted % max(2 * last, 1))  # turns back at the end of the data
    low = np.floor(wanted).astype(int)
    weight = (wanted - low)[:, None]
    before, after = (
        placement.values[low][:, placement.metrics],
        placement.values[np.minimum(low + 1, last)][:, placement.metrics],
    )
    return np.asarray(before * (1 - weight) + after * weight)


def correlation(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """Each metric as it was at some other time of its own: all values usual, but not together."""
    T, D = len(placement.values), placement.rows
    shortest = min(D, T // 2)  # if there is room, none of the incident's own rows
    shifts = generator.integers(shortest, max(T - shortest, shortest) + 1, len(placement.metrics))
    return np.stack([placement.shifted(int(shift), k) for k, shift in enumerate(shifts)], axis=1)


def dropped(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """The lowest value the metric ever had: what counters and gauges of a dead process show."""
    del generator
    known = placement.values[:, placement.metrics]
    lowest = np.where(np.isnan(known), np.inf, known).min(0)
    return np.asarray(np.broadcast_to(lowest, placement.now.shape))


def frozen(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """The last value before the incident, held."""
    del generator
    return np.asarray(
        np.broadcast_to(placement.values[max(placement.start - 1, 0), placement.metrics], placement.now.shape)
    )


def missing(placement: Placement, generator: np.random.Generator) -> np.ndarray:
    """No value at all."""
    del generator
    return np.full(placement.now.shape, np.nan)


KINDS: Mapping[str, AnomalyType] = {
    "spike": AnomalyType(spike, longest=4),
    "level_shift": AnomalyType(level_shift, shortest=2),
    "drift": AnomalyType(drift, shortest=8),
    "noise": AnomalyType(noise, shortest=4),
    "variance": AnomalyType(variance, shortest=8),
    "period": AnomalyType(period, shortest=8),
    "correlation": AnomalyType(correlation, shortest=2),
    "dropped": AnomalyType(dropped),
    "frozen": AnomalyType(frozen, shortest=4),
    "missing": AnomalyType(missing),
}
"""Every kind that needs no model."""

JUDGES: Mapping[str, AnomalyType] = {name: kind for name, kind in KINDS.items() if name != "missing"}
"""Kinds that a score should find: absent data is a finding of its own, but no evidence for a score."""
