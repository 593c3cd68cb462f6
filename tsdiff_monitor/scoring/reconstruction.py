"""Reconstruction: what one-step imputation cannot explain, per cell.

For a hidden cell x the model is shown x + σ·ε and answers D(x + σ·ε; σ | the cells given): the expected clean value.
At a moderate σ this is conditional denoising, at a large one pure imputation (CSDI, Tashiro et al. 2021, with one
evaluation instead of 50 steps).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.scoring.plan import ScoringPlan

__all__ = ["contributions", "residuals", "row_score"]

_CELLS_AT_ONCE = 4_000_000
"""Bounds the memory of a batch: windows x rows x metrics."""


@torch.no_grad()
def residuals(
    imputer: Imputer, scaled: np.ndarray, plan: ScoringPlan, *, window: int, first: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared and mean signed residual (actual minus denoised) of rows ``first <= t < T``, each ``[T-first, K]``.

    ``scaled[T, K]`` is NaN where missing; there the residuals are NaN too. Rows before the frame count as missing.
    The noise is the same for every window, so a row's residual depends on its window's values alone.
    """
    T, K = scaled.shape
    observed = ~np.isnan(scaled)
    noise = torch.randn(window, K, generator=torch.Generator().manual_seed(seed)) * plan.sigma
    squared = np.zeros((T, K), dtype=np.float64)
    signed = np.zeros((T, K), dtype=np.float64)
    counts = np.zeros((T, K), dtype=np.float64)
    masks = [(mask, mask[-plan.read :].numpy()) for mask in plan.masks]
    for ends, windows in _windows(scaled, observed, plan, window=window, first=first):
        clean = windows.nan_to_num(0.0)
        sigma = torch.full((len(ends),), plan.sigma)
        for mask, read in masks:
            denoised = imputer.denoise(clean + noise, sigma, windows, mask)
            error = (clean - denoised)[:, -plan.read :].numpy().astype(np.float64)
            for offset in range(plan.read):  # a row may be read in several windows, but once per offset
                at = ends - plan.read + 1 + offset
                kept = at >= first
                rows = at[kept]
                hit = read[offset] & observed[rows]
                e = np.where(hit, error[kept, offset], 0.0)
                squared[rows] += e**2
                signed[rows] += e
                counts[rows] += hit
    counts[counts == 0] = np.nan
    return (squared / counts)[first:], (signed / counts)[first:]


def contributions(squared: np.ndarray, normaliser: np.ndarray) -> np.ndarray:
    """Squared residuals ``[T, K]`` in units of each metric's own error on held-out normal rows; NaN where missing."""
    return np.asarray(squared / normaliser)


def row_score(contribution: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The uncalibrated score ``[T]``: the mean contribution over the ``active[K]`` metrics.

    A missing cell counts as 1, the contribution of normal data: missing data is no evidence, and a row of which
    little is known is not judged by that little alone. A row without any value has no score (NaN).
    """
    used = contribution[:, active]
    if used.shape[1] == 0:
        return np.full(len(contribution), np.nan)
    missing = np.isnan(used)
    score = np.where(missing, 1.0, used).mean(1)
    score[missing.all(1)] = np.nan
    return np.asarray(score)


def _windows(
    scaled: np.ndarray, observed: np.ndarray, plan: ScoringPlan, *, window: int, first: int
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Batches of (last row of each window, windows ``[B, L, K]``) that together read every row from ``first`` on."""
    T, K = scaled.shape
    if first >= T:
        return
    last = np.arange(first + plan.read - 1, T - 1 + plan.stride, plan.stride)
    last = np.unique(np.minimum(last, T - 1))
    # Windows whose rows to read hold no value at all have nothing to score.
    seen = np.concatenate([[0], np.cumsum(observed.any(1))])
    last = last[seen[last + 1] > seen[np.maximum(last + 1 - plan.read, 0)]]
    padded = torch.from_numpy(np.concatenate([np.full((window - 1, K), np.nan, np.float32), scaled]))
    views = padded.unfold(0, window, 1)  # [T, K, L]
    size = max(_CELLS_AT_ONCE // (window * K), 1)
    for at in range(0, len(last), size):
        ends = last[at : at + size]
        yield ends, views[torch.from_numpy(ends)].transpose(1, 2)
