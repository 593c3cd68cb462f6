"""VUS-PR, the volume under the range-PR surface, exact and in a fraction of a second.

Definition: Paparrizos et al., "Volume Under the Surface", VLDB 2022, as TSB-AD (NeurIPS 2024) computes it: 250
thresholds spaced by rank, buffers from 0 to the window. The published code costs thresholds x buffers x rows; here each
buffer's sums over all thresholds come from one histogram, because a row counts from the first threshold it exceeds, and
only rows within half a window of a segment are looked at again for each buffer.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

__all__ = ["metric_window", "vus_pr"]

_THRESHOLDS = 250


def metric_window(first_metric: np.ndarray) -> int:
    """The buffer TSB-AD uses: the strongest period of the first metric (3 to 300 rows), 125 where there is none."""
    from statsmodels.tsa.stattools import acf

    base = 3
    x = np.asarray(first_metric, dtype=float)[:20_000]
    if np.nanstd(x) == 0:
        return 125
    correlation = np.asarray(acf(x, nlags=400, fft=True))[base:]
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:]))
    if peaks.size == 0:
        return 125
    strongest = int(peaks[np.argsort(correlation[peaks])[::-1][0]])
    return 125 if strongest < 3 or strongest > 300 else strongest + base


def vus_pr(labels: np.ndarray, score: np.ndarray, window: int) -> float:
    """VUS-PR of ``score[T]`` (higher is more anomalous) for binary ``labels[T]``; NaN without a positive label."""
    labels = np.asarray(labels).astype(int)
    score = np.asarray(score, dtype=float)
    n = len(labels)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels, [0]])))
    segments = list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))
    if not segments:
        return float("nan")
    positives = int(labels.sum())
    ranks = np.linspace(0, n - 1, _THRESHOLDS).astype(int)
    thresholds = -np.sort(-score)[ranks]
    # The first threshold (they fall) at which a row is predicted.
    first = np.searchsorted(-thresholds, -score, side="left")

    def predicted(weight: np.ndarray | None, exceeded: np.ndarray) -> np.ndarray:
        return np.cumsum(np.bincount(exceeded, weights=weight, minlength=_THRESHOLDS + 1)[:_THRESHOLDS])

    n_predicted = predicted(None, first)
    inside = predicted(None, first[labels == 1])
    merged = _merged(segments, n, window)
    existence = np.zeros(_THRESHOLDS)
    for a, b in merged:
        existence[min(first[a : b + 1].min(), _THRESHOLDS) :] += 1
    existence /= len(merged)

    row, distance = _surroundings(segments, labels, window // 2)
    rows, slot = np.unique(row, return_inverse=True)
    exceeded = first[rows]
    total = 0.0
    for buffer in range(window + 1):
        near = distance <= buffer // 2
        fade = np.sqrt(1 - distance[near] / max(buffer, 1))
        # A row between two segments gets weight from both, 1 at most.
        extended = np.minimum(np.bincount(slot[near], weights=fade, minlength=len(rows)), 1.0)
        around = predicted(extended, exceeded)
        recall = np.minimum((inside + around) / (positives + around / 2), 1.0) * existence
        precision = (inside + around) / n_predicted
        total += float(np.dot(np.diff(recall, prepend=0.0), precision))
    return total / (window + 1)


def _surroundings(segments: list[tuple[int, int]], labels: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """The normal rows within ``half`` rows of a segment, and how far from it; once per segment and side."""
    away = np.arange(1, half + 1)
    row = np.concatenate([np.concatenate([a - away, b + away]) for a, b in segments])
    distance = np.tile(away, 2 * len(segments))
    kept = (row >= 0) & (row < len(labels))
    kept[kept] = labels[row[kept]] == 0
    return row[kept], distance[kept]


def _merged(segments: list[tuple[int, int]], n: int, window: int) -> list[tuple[int, int]]:
    """The segments with half a window on either side, those that touch joined."""
    half = window // 2
    merged = []
    a = max(segments[0][0] - half, 0)
    for (_, end), (start, _) in pairwise(segments):
        if end + half < start - half:
            merged.append((a, end + half))
            a = start - half
    merged.append((a, min(segments[-1][1] + half, n - 1)))
    return merged
