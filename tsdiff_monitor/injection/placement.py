"""The place of an anomaly: its rows, its metrics, and the usual deviation of a metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Placement", "robust_spread"]

_CENTRAL = (0.05, 0.95)
_CENTRAL_WIDTH = 3.29
"""Width of the central 90 % of a Gaussian in standard deviations."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Rows ``start <= t < end`` of the ``metrics[M]`` (columns) of the whole ``values[T, K]``, NaN = missing.

    ``directions[M]`` is 1 where the metric is to rise and -1 where it is to fall, ``magnitude`` by how many of its
    ``spread[M]``.
    """

    values: np.ndarray
    start: int
    end: int
    metrics: np.ndarray
    directions: np.ndarray
    magnitude: float
    spread: np.ndarray

    @property
    def rows(self) -> int:
        """The length of the incident in rows (`D`)."""
        return self.end - self.start

    @property
    def now(self) -> np.ndarray:
        """The values there as they are ``[D, M]``."""
        return np.asarray(self.values[self.start : self.end, self.metrics])

    @property
    def step(self) -> np.ndarray:
        """The change asked for, in the metrics' own units ``[M]``."""
        return np.asarray(self.directions * self.magnitude * self.spread)

    def shifted(self, rows: int, metric: int) -> np.ndarray:
        """The same rows of one metric (an index into ``metrics``) ``rows`` later; the end continues at the start."""
        shifted = (np.arange(self.start, self.end) + rows) % len(self.values)
        return np.asarray(self.values[shifted, self.metrics[metric]])


def robust_spread(values: np.ndarray) -> np.ndarray:
    """Each metric's usual deviation ``[K]``, float64: of ``values[T, K]`` the central 90 %, as of a Gaussian.

    A tenth of the rows may be extreme without effect. A metric that is still for longer than that has its standard
    deviation, and one that never moves, or has no value, its size (at least 1): then any change is a large one.
    """
    spread = np.ones(values.shape[1])
    for k, column in enumerate(values.T.astype(np.float64)):
        seen = column[~np.isnan(column)]
        if seen.size:
            low, high = np.quantile(seen, _CENTRAL)
            candidates = ((high - low) / _CENTRAL_WIDTH, seen.std(), float(np.abs(seen).max()), 1.0)
            noise = 1e-6 * max(float(np.abs(seen).max()), 1e-300)  # of float32
            spread[k] = next(each for each in candidates if each > noise)
    return spread
