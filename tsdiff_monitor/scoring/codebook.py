"""Density without parameters: the distance of a few rows from all that the history has shown.

The non-parametric form of diffusion time (DTE: Livernoche et al., "On Diffusion Modeling for Anomaly Detection", ICLR
2024, section 3.2) is the distance to the nearest neighbours in the history. Here the neighbours are the codewords of a
small codebook of windows (Lloyd's k-means, seeded by k-means++ of Arthur and Vassilvitskii, SODA 2007): a codeword
stands for many normal windows, so one unusual window in the history does not become a place where everything is
normal, and a score costs a handful of distances. It sees what imputation cannot: an incident that is consistent in
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

__all__ = ["ROWS", "Blocks", "Codebook"]

Blocks = tuple[tuple[int, int], ...]
"""Spans of rows: (first, end) of each."""

ROWS = 10
"""Rows of a window: long enough for a shape, short enough for a spike to matter."""
_WORDS = 20
_ITERATIONS = 20
_CELLS = 8_000_000
"""Bounds what is held at once, in fitting and in scoring."""
_FOLDS = 4
_LARGE = 30.0
"""Beyond so many deviations a metric counts by the square root: one that went to another level for good, as counters
and versions do, must not hide all the others."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """``words[W, R*K]``: typical windows of R rows and K metrics, flattened, in softened scaled units.

    ``typical`` is the squared distance per cell of normal rows: what a missing cell counts as.
    """

    words: np.ndarray
    typical: float

    @classmethod
    def fit(cls, scaled: np.ndarray, held_out: Blocks, *, seed: int) -> Self:
        """Learn from ``scaled[T, K]`` (NaN = missing), apart from the ``held_out`` rows unless these are all.

        ``typical`` comes from rows that the words were not learned from.
        """
        book = cls._learned(scaled, _outside(held_out, len(scaled)), 1.0, seed)
        squared = np.concatenate(
            [fold._squared(scaled, np.arange(a, b)) for fold, a, b in book._folds(scaled, held_out, seed=seed)]
        )
        known = squared[np.isfinite(squared)]
        return cls(book.words, float(max(known.mean(), 1e-6)) if len(known) else 1.0)

    def normal_distances(self, scaled: np.ndarray, held_out: Blocks, *, centred: bool, seed: int) -> list[np.ndarray]:
        """Distances of the held-out blocks, as :meth:`distances` gives them, to calibrate by.

        Where the words were learned from these rows too (a short history), each quarter of them is measured against
        words of the others, or every row would look more normal than new ones can.
        """
        parts: dict[tuple[int, int], list[np.ndarray]] = {block: [] for block in held_out}
        for fold, a, b in self._folds(scaled, held_out, seed=seed):
            block = next((first, end) for first, end in held_out if first <= a and b <= end)
            parts[block].append(fold.distances(scaled[:b], first=a, centred=centred))
        return [np.concatenate(part) for part in parts.values()]

    def _folds(self, scaled: np.ndarray, held_out: Blocks, *, seed: int) -> list[tuple[Self, int, int]]:
        """Spans of held-out rows (first, end), each with a codebook that did not learn from them."""
        if not _everything(held_out, len(scaled)):
            return [(self, a, b) for a, b in held_out]
        folds = []
        for a, b in held_out:
            edges = np.linspace(a, b, _FOLDS + 1).astype(int).tolist() if b - a >= _FOLDS * ROWS else [a, b]
            for first, end in pairwise(edges):
                rest = np.ones(len(scaled), dtype=bool)
                rest[first : end + ROWS - 1] = False  # no window of the rest may hold a row of the fold
                folds.append((self._learned(scaled, rest, self.typical, seed) if rest.any() else self, first, end))
        return folds

    @classmethod
    def _learned(cls, scaled: np.ndarray, usable: np.ndarray, typical: float, seed: int) -> Self:
        """Words of the windows that end at ``usable[T]`` rows."""
        generator = np.random.default_rng(seed)
        ends = np.flatnonzero(usable & ~np.isnan(scaled).all(1))
        if not len(ends):
            ends = np.flatnonzero(~np.isnan(scaled).all(1))
        most = max(_CELLS // (ROWS * scaled.shape[1]), _WORDS)
        if len(ends) > most:
            ends = np.sort(generator.choice(ends, most, replace=False))
        windows = np.nan_to_num(_windows(scaled, ends))  # a missing cell is taken as average
        return cls(_kmeans(windows, min(_WORDS, len(windows)), generator), typical)

    def distances(self, scaled: np.ndarray, *, first: int, centred: bool) -> np.ndarray:
        """Distance of rows ``first <= t < T`` from the codebook, ``[T - first]``: about 1 on normal rows.

        From the window that ends at the row or, if ``centred``, the mean over the windows that hold it. NaN where a
        row has no value.
        """
        T = len(scaled)
        if first >= T:
            return np.zeros(0)
        squared = self._squared(scaled, np.arange(first, T))
        distance = np.sqrt(squared / self.typical)
        if centred:
            known = np.isfinite(distance)
            ahead = np.ones(ROWS)
            total = np.convolve(np.where(known, distance, 0.0)[::-1], ahead)[: T - first][::-1]
            count = np.convolve(known[::-1], ahead)[: T - first][::-1]
            distance = total / np.maximum(count, 1)
        distance[np.isnan(scaled[first:]).all(1)] = np.nan
        return np.asarray(distance)

    def _squared(self, scaled: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Squared distance per cell ``[N]`` of the windows ending at rows ``ends``; NaN for one without a value."""
        words = self.words
        norms = words**2
        out = np.full(len(ends), np.nan)
        size = max(_CELLS // words.shape[1], 1)
        for at in range(0, len(ends), size):
            x = _windows(scaled, ends[at : at + size])
            seen = ~np.isnan(x)
            x = np.where(seen, x, np.float32(0.0))
            own = (x * x).sum(1)
            mask = seen.astype(np.float32)
            nearest = (mask @ norms.T - 2 * (x @ words.T)).min(1) + own
            share = seen.mean(1)
            filled = np.maximum(nearest, 0.0) / x.shape[1] + (1 - share) * self.typical
            out[at : at + size] = np.where(share > 0, filled, np.nan)
        return out


def _everything(held_out: Blocks, rows: int) -> bool:
    return sum(b - a for a, b in held_out) >= rows


def _outside(held_out: Blocks, rows: int) -> np.ndarray:
    """The rows to learn from, ``[T]``: those not held out, or all where nothing else is left."""
    outside = np.ones(rows, dtype=bool)
    if not _everything(held_out, rows):
        for a, b in held_out:
            outside[a:b] = False
    return outside


def _windows(scaled: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The softened windows that end at rows ``ends``, float32 ``[N, R*K]``; rows before the frame are missing."""
    first = int(ends.min(initial=0)) - ROWS + 1
    span = scaled[max(first, 0) : int(ends.max(initial=0)) + 1]
    if first < 0:
        span = np.concatenate([np.full((-first, scaled.shape[1]), np.nan, np.float32), span])
    size = np.abs(span)
    soft = np.where(size > _LARGE, np.sign(span) * np.sqrt(_LARGE * size), span).astype(np.float32)
    rows = (ends - ROWS + 1 - first)[:, None] + np.arange(ROWS)
    return np.asarray(soft[rows].reshape(len(ends), -1))


def _kmeans(x: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """Lloyd's k-means from k-means++ seeds: ``words[k, D]`` of ``x[N, D]``."""
    norms = (x**2).sum(1)
    words = x[generator.integers(len(x))][None]
    nearest = np.full(len(x), np.inf)
    while len(words) < k:
        newest = words[-1]
        nearest = np.minimum(nearest, np.maximum(norms - 2 * (x @ newest) + newest @ newest, 0.0))
        total = float(nearest.sum(dtype=np.float64))
        if total <= 0:  # fewer than k distinct windows
            break
        chosen = np.searchsorted(np.cumsum(nearest, dtype=np.float64), generator.uniform(0, total))
        words = np.concatenate([words, x[min(int(chosen), len(x) - 1)][None]])
    for _ in range(_ITERATIONS):
        assigned = ((words**2).sum(1) - 2 * (x @ words.T)).argmin(1)
        members = np.zeros((len(words), len(x)), dtype=np.float32)
        members[assigned, np.arange(len(x))] = 1.0
        count = members.sum(1)
        moved = np.where(count[:, None] > 0, (members @ x) / np.maximum(count, 1)[:, None], words)
        if np.array_equal(moved, words):
            break
        words = moved
    return np.asarray(words, dtype=np.float32)
