"""The methods' contract, and helpers of the baselines: scaling, windows, and the row scores of windows.

Shapes: N training rows, T test rows, K metrics, W rows of a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["WINDOW", "Method", "Scaling", "Scorer", "Setting", "evenly", "mean_over_windows", "windows_of"]

WINDOW = 10
"""Rows of a window of the window methods (`W`)."""

_FLOOR = 0.01
"""Least standard deviation of a metric: one that barely moved in training must not drown the others."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""Test rows ``[T, K]`` to scores ``[T]``, higher where more anomalous."""


@dataclass(frozen=True)
class Setting:
    """Settings of a fit beside the training rows."""

    seed: int
    step_seconds: float


@dataclass(frozen=True)
class Method:
    """``fit(train [N, K], setting)`` returns the scorer; values may be NaN. ``seeded``: the seed changes the result."""

    summary: str
    fit: Callable[[np.ndarray, Setting], Scorer]
    seeded: bool = False


@dataclass(frozen=True)
class Scaling:
    """Standardises by the training rows; a missing value becomes the training mean, 0."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, train: np.ndarray) -> Scaling:
        """Mean and deviation of each metric over the training values there are."""
        seen = ~np.isnan(train)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, train, 0.0).sum(0, dtype=float) / count
        spread = np.where(seen, train - mean, 0.0)
        return cls(mean, np.maximum(np.sqrt((spread**2).sum(0) / count), _FLOOR))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Standardised values ``[T, K]``, float64, without NaN."""
        return np.asarray(np.nan_to_num((values - self.mean) / self.deviation, nan=0.0))


def windows_of(z: np.ndarray) -> np.ndarray:
    """All windows of consecutive rows, flattened: float32 ``[T - W + 1, W * K]`` (one window where T < W, padded)."""
    if len(z) < WINDOW:
        z = np.pad(z, ((WINDOW - len(z), 0), (0, 0)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(z.astype(np.float32), WINDOW, axis=0)
    return view.reshape(len(view), -1)


def mean_over_windows(of_window: np.ndarray, rows: int) -> np.ndarray:
    """A row's score ``[T]``: the mean over the windows that hold it."""
    total = np.concatenate([[0.0], np.cumsum(of_window, dtype=float)])
    row, last = np.arange(rows), len(of_window) - 1
    low, high = np.clip(row - WINDOW + 1, 0, last), np.clip(row, 0, last)
    return np.asarray((total[high + 1] - total[low]) / (high + 1 - low))


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` rows, evenly spaced: bounds the cost of methods that compare every row with every other."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, most).astype(int)])
