"""Scaling of metrics to comparable units, without squashing: a large excursion stays large, because it is signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Scaler"]

_CONSTANT_SHARE = 1e-6
"""A deviation below this share of the metric's magnitude is float noise: the metric counts as constant."""
_CONSTANT_SURPRISE = 5.0
"""Standard deviations that any change of a metric counts as that was constant in the history."""
_LARGEST = 1e9
"""Beyond it float32 arithmetic in the network overflows; any such value is an anomaly."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardises each metric by its history.

    A metric that was constant has no scale of its own: its values map to 0 (unchanged) up to ±5 (changed), so that a
    change is evidence but cannot dominate. A metric without any value in the history maps to missing.
    ``location``, ``scale`` float64 ``[K]``; ``constant``, ``empty`` bool ``[K]``.
    """

    location: np.ndarray
    scale: np.ndarray
    constant: np.ndarray
    empty: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray) -> Scaler:
        """Learn from ``values[T, K]``, NaN = missing."""
        x = values.astype(np.float64)
        seen = ~np.isnan(x)
        count = seen.sum(0)
        empty = count == 0
        n = np.maximum(count, 1)
        location = np.where(seen, x, 0.0).sum(0) / n
        deviation = np.sqrt((np.where(seen, x - location, 0.0) ** 2).sum(0) / n)
        magnitude = np.abs(np.where(seen, x, 0.0)).max(0, initial=0.0)
        constant = ~empty & (deviation <= _CONSTANT_SHARE * magnitude)
        scale = np.where(constant | empty, np.maximum(magnitude * 1e-3, 1e-9), deviation)
        return cls(location, scale, constant, empty)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """``values[T, K]`` in scaled units, float32, NaN where missing."""
        z = (values - self.location) / self.scale
        z[:, self.constant] = _CONSTANT_SURPRISE * np.tanh(z[:, self.constant])
        z[:, self.empty] = np.nan
        return np.asarray(np.clip(z, -_LARGEST, _LARGEST), dtype=np.float32)

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """Back to the metrics' own units; constant metrics are expected to stay what they were."""
        values = np.where(self.constant, self.location, scaled * self.scale + self.location)
        values[..., self.empty] = np.nan
        return np.asarray(values, dtype=np.float64)
