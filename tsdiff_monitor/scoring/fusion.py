"""Fusion: one score from several views of a row, at several time scales.

Each view is about 1 on normal rows. Their moving means over a few scales are multiplied (geometric mean): a row scores
high when it stands out in every view and at every scale. A spike alone does not drag its neighbours up, as a moving
mean would, and a long moderate incident is not drowned by single rows. Measured against sums, maxima, means of
logarithms and single scales in docs/model.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["fuse", "moving_mean", "reach"]

_LEAST = 1e-6


def fuse(views: Sequence[np.ndarray], *, scales: Sequence[int], centred: bool) -> np.ndarray:
    """The geometric mean ``[T]`` of the moving means of all ``views[T]`` over ``scales`` rows; NaN where a view is."""
    logs = [np.log(np.maximum(moving_mean(view, n, centred=centred), _LEAST)) for view in views for n in scales]
    return np.asarray(np.exp(np.mean(logs, axis=0)))


def moving_mean(values: np.ndarray, rows: int, *, centred: bool) -> np.ndarray:
    """Mean ``[T]`` over ``rows`` rows of ``values[T]``, around each row or up to it; NaN are left out, and stay NaN."""
    if rows <= 1 or not len(values):
        return np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    kernel = np.ones(rows)
    ahead = rows // 2 if centred else 0
    kept = slice(ahead, ahead + len(values))
    total = np.convolve(np.where(known, values, 0.0), kernel)[kept]
    count = np.convolve(known, kernel)[kept]
    mean = total / np.maximum(count, 1)
    mean[~known] = np.nan
    return np.asarray(mean)


def reach(scales: Sequence[int], *, centred: bool) -> int:
    """Number of rows before a row that its score takes in by the scales."""
    longest = max(scales)
    return longest // 2 if centred else longest - 1
