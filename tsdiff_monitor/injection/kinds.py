"""The kinds of incidents, each a function from a site to the new values of its cells ``[D, M]``.

They follow the categories of time-series anomalies that both surveys use (arXiv 2501.11430, 2506.09368): of points, of
context (a value that is usual, but not there), of the pattern, and of the relation between metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.injection.site import Site

__all__ = ["JUDGES", "KINDS", "Change", "Kind"]

Change = Callable[[Site, np.random.Generator], np.ndarray]
"""New values ``[D, M]`` of a site's cells; they are written where a value was, so a gap stays one."""

_DECAY = 0.6


@dataclass(frozen=True)
class Kind:
    """How an incident changes its cells, and how many rows it takes."""

    change: Change
    shortest: int = 1
    longest: int | None = None

    def takes(self, rows: int) -> bool:
        """Whether an incident of this kind may last so long."""
        return self.shortest <= rows <= (self.longest or rows)


def spike(site: Site, generator: np.random.Generator) -> np.ndarray:
    """A jump that decays within a few rows."""
    del generator
    return np.asarray(site.now + site.step * _DECAY ** np.arange(site.rows)[:, None])


def level_shift(site: Site, generator: np.random.Generator) -> np.ndarray:
    """Another level, the movements around it as they were."""
    del generator
    return np.asarray(site.now + site.step)


def drift(site: Site, generator: np.random.Generator) -> np.ndarray:
    """Further away with every row."""
    del generator
    return np.asarray(site.now + site.step * np.linspace(0, 1, site.rows + 1)[1:, None])


def noise(site: Site, generator: np.random.Generator) -> np.ndarray:
    """A burst of white noise on top."""
    return np.asarray(site.now + np.abs(site.step) * generator.standard_normal(site.now.shape))


def variance(site: Site, generator: np.random.Generator) -> np.ndarray:
    """The metric's own movements around their mean, much larger or much smaller."""
    factor = (1.0 + site.magnitude) ** generator.choice([-1.0, 1.0])
    seen = ~np.isnan(site.now)
    mean = np.where(seen, site.now, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return np.asarray(mean + factor * (site.now - mean))


def period(site: Site, generator: np.random.Generator) -> np.ndarray:
    """The metric's own course, faster or slower: rows read at another speed, from where the incident begins."""
    factor = generator.uniform(1.5, 4.0) ** generator.choice([-1.0, 1.0])
    wanted = site.start + factor * np.arange(site.rows)
    last = len(site.values) - 1
    wanted = last - np.abs(last - wanted % max(2 * last, 1))  # turns back at the end of the data
    low = np.floor(wanted).astype(int)
    share = (wanted - low)[:, None]
    before, after = site.values[low][:, site.metrics], site.values[np.minimum(low + 1, last)][:, site.metrics]
    return np.asarray(before * (1 - share) + after * share)


def correlation(site: Site, generator: np.random.Generator) -> np.ndarray:
    """Each metric as it was at some other time of its own: all values usual, but not together."""
    T, D = len(site.values), site.rows
    shortest = min(D, T // 2)  # if there is room, none of the incident's own rows
    shifts = generator.integers(shortest, max(T - shortest, shortest) + 1, len(site.metrics))
    return np.stack([site.shifted(int(shift), k) for k, shift in enumerate(shifts)], axis=1)


def dropped(site: Site, generator: np.random.Generator) -> np.ndarray:
    """The lowest value the metric ever had: what counters and gauges of a dead process show."""
    del generator
    known = site.values[:, site.metrics]
    lowest = np.where(np.isnan(known), np.inf, known).min(0)
    return np.asarray(np.broadcast_to(lowest, site.now.shape))


def frozen(site: Site, generator: np.random.Generator) -> np.ndarray:
    """The last value before the incident, held."""
    del generator
    return np.asarray(np.broadcast_to(site.values[max(site.start - 1, 0), site.metrics], site.now.shape))


def missing(site: Site, generator: np.random.Generator) -> np.ndarray:
    """No value at all."""
    del generator
    return np.full(site.now.shape, np.nan)


KINDS: Mapping[str, Kind] = {
    "spike": Kind(spike, longest=4),
    "level_shift": Kind(level_shift, shortest=2),
    "drift": Kind(drift, shortest=8),
    "noise": Kind(noise, shortest=4),
    "variance": Kind(variance, shortest=8),
    "period": Kind(period, shortest=8),
    "correlation": Kind(correlation, shortest=2),
    "dropped": Kind(dropped),
    "frozen": Kind(frozen, shortest=4),
    "missing": Kind(missing),
}
"""Every kind that needs no model."""

JUDGES: Mapping[str, Kind] = {name: kind for name, kind in KINDS.items() if name != "missing"}
"""Kinds that a score should find: absent data is a finding of its own, but no evidence for a score."""
