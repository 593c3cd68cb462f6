"""Deterministic target masks ``[L, K]``: which cells of a window are hidden and imputed. True = hidden.

NumPy, so that scoring does without torch; :mod:`tsdiff_monitor.diffusion.training_masks` has the random ones of fits.
"""

from __future__ import annotations

import numpy as np

__all__ = ["forecast_mask", "gratings", "metric_mask"]


def gratings(window: int, metrics: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two complementary gratings of bars ``width`` rows wide over all metrics: every cell is imputed exactly once."""
    bars = (np.arange(window) // width) % 2 == 0
    first = np.repeat(bars[:, None], metrics, axis=1)
    return first, ~first


def forecast_mask(window: int, metrics: int, rows: int) -> np.ndarray:
    """The newest ``rows`` rows of every metric."""
    return metric_mask(window, np.ones(metrics, dtype=bool), rows=rows)


def metric_mask(window: int, hidden: np.ndarray, *, rows: int | None = None) -> np.ndarray:
    """The ``hidden[K]`` metrics, over the newest ``rows`` rows (all rows when None), given all the others."""
    newest = np.arange(window) >= window - (window if rows is None else rows)
    return np.asarray(newest[:, None] & hidden[None, :])
