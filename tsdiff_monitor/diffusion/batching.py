"""Windows of a series in batches of bounded size: memory does not grow with the length of the series."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["CELLS_AT_ONCE", "last_rows", "padded", "window_batches", "windows_at_once"]

CELLS_AT_ONCE = 4_000_000
"""Bounds a batch: windows x rows x channels."""
_LEAST_CHANNELS = 128
"""Channels that a row takes inside the network, however few its metrics."""


def windows_at_once(
    window: int, metrics: int, cells: int = CELLS_AT_ONCE, *, least_channels: int = _LEAST_CHANNELS
) -> int:
    """The number of windows of ``window`` rows and ``metrics`` columns that ``cells`` allow, at least one."""
    return max(cells // (window * max(metrics, least_channels)), 1)


def last_rows(rows: int, *, first: int, read: int, stride: int) -> np.ndarray:
    """The last row ``[N]`` of each window that it takes to read every row ``first <= t < rows``.

    A window is read at its newest ``read`` rows; the next one ends ``stride`` rows later.
    """
    if first >= rows:
        return np.zeros(0, dtype=np.int64)
    last = np.arange(min(first + read, rows) - 1, rows - 1 + stride, stride)
    return np.unique(np.minimum(last, rows - 1))


def padded(scaled: np.ndarray, window: int) -> np.ndarray:
    """``scaled[T, K]`` after missing rows (NaN): the ``window`` rows that end with row t begin at index t."""
    return np.concatenate([np.full((window - 1, scaled.shape[1]), np.nan, np.float32), scaled])


def window_batches(
    scaled: np.ndarray, ends: np.ndarray, window: int, at_once: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The windows of ``scaled[T, K]`` that end at rows ``ends[N]``, as (ends ``[B]``, windows ``[B, L, K]``).

    Rows before the first are missing. The windows are copies.
    """
    if not len(ends):
        return
    views = np.lib.stride_tricks.sliding_window_view(padded(scaled, window), window, axis=0)  # [T, K, L]
    for at in range(0, len(ends), at_once):
        batch = ends[at : at + at_once]
        yield batch, views[batch].transpose(0, 2, 1)
