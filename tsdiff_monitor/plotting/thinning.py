"""Thinning of long series to the points that a chart has room for, without losing a peak."""

from __future__ import annotations

import numpy as np

__all__ = ["thin", "thin_extremes"]


def thin(times: np.ndarray, values: np.ndarray, bins: int, keep: np.ufunc) -> tuple[np.ndarray, np.ndarray]:
    """At most ``bins`` of the points ``times[T], values[T]``; NaN where all rows of one are.

    Each keeps ``keep`` (``np.fmax``, ``np.fmin``) of its rows.
    """
    if len(values) <= bins:
        return times, np.asarray(values, dtype=np.float64)
    return np.fmin.reduce(_bins(times, bins), axis=1), keep.reduce(_bins(values, bins), axis=1)


def thin_extremes(times: np.ndarray, values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``2 * bins`` of the points ``times[T], values[T]``: the minimum and the maximum of every bin."""
    if len(values) <= 2 * bins:
        return times, np.asarray(values, dtype=np.float64)
    first, low = thin(times, values, bins, np.fmin)
    _, high = thin(times, values, bins, np.fmax)
    half = (first[1] - first[0]) / 2
    return np.column_stack([first, first + half]).ravel(), np.column_stack([low, high]).ravel()


def _bins(values: np.ndarray, bins: int) -> np.ndarray:
    """``values`` as ``[bins, rows per bin]``, padded with NaN."""
    per_bin = -(-len(values) // bins)
    padded = np.full(-(-len(values) // per_bin) * per_bin, np.nan)
    padded[: len(values)] = values
    return padded.reshape(-1, per_bin)
