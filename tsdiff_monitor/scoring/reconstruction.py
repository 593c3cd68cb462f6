"""Reconstruction: the residuals of one-step imputation, per cell.

For a hidden cell x the model is shown x + σ·ε and answers D(x + σ·ε; σ | the cells given): the expected clean value.
At a moderate σ this is conditional denoising, at a large one pure imputation (CSDI, Tashiro et al. 2021, with one
evaluation instead of 50 steps).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from tsdiff_monitor.diffusion.batching import CELLS_AT_ONCE, last_rows, window_batches, windows_at_once
from tsdiff_monitor.diffusion.denoiser import DenoiseRequest, Steps, WindowDenoiser, answered
from tsdiff_monitor.scoring.plan import ScoringPlan

__all__ = ["residual_steps", "residuals", "row_score"]


def residuals(
    denoiser: WindowDenoiser,
    scaled: np.ndarray,
    plan: ScoringPlan,
    *,
    window: int,
    first: int,
    seed: int,
    cells_at_once: int = CELLS_AT_ONCE,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`residual_steps`, answered by one network."""
    steps = residual_steps(scaled, plan, window=window, first=first, seed=seed, cells_at_once=cells_at_once)
    return answered(steps, denoiser)


def residual_steps(
    scaled: np.ndarray,
    plan: ScoringPlan,
    *,
    window: int,
    first: int,
    seed: int,
    cells_at_once: int = CELLS_AT_ONCE,
) -> Steps[tuple[np.ndarray, np.ndarray]]:
    """Mean squared and mean signed residual (actual minus denoised) of rows ``first <= t < T``, each ``[T-first, K]``.

    ``scaled[T, K]`` is NaN where missing; there the residuals are NaN too. Rows before the frame count as missing.
    The noise is the same for every window, so a row's residual depends on its window's values alone.
    """
    T, K = scaled.shape
    noise = _noise(window, K, seed) * np.float32(plan.sigma)
    squared = np.zeros((max(T - first, 0), K))
    signed = np.zeros_like(squared)
    counts = np.zeros_like(squared, dtype=np.float32)
    size = windows_at_once(window, K, cells_at_once)
    for ends, windows in _windows(scaled, plan, window=window, first=first, size=size):
        observed = ~np.isnan(windows)
        clean = np.where(observed, windows, np.float32(0.0))
        noisy = np.repeat(noise[None], len(ends), axis=0) if plan.blind else clean + noise
        for mask in plan.masks:
            target = mask & observed
            denoised = yield DenoiseRequest(noisy, plan.sigma, windows, target)
            hits = target[:, -plan.read :]
            errors = (clean[:, -plan.read :] - denoised[:, -plan.read :]).astype(np.float64)
            errors[~hits] = 0.0
            for offset in range(plan.read):  # a row may be read in several windows, but once per offset
                at = ends - plan.read + 1 + offset
                kept = at >= first
                rows = at[kept] - first
                squared[rows] += errors[kept, offset] ** 2
                signed[rows] += errors[kept, offset]
                counts[rows] += hits[kept, offset]
    counts[counts == 0] = np.nan
    squared /= counts
    signed /= counts
    return squared, signed


@lru_cache(maxsize=64)
def _noise(window: int, metrics: int, seed: int) -> np.ndarray:
    """The standard normal noise ``[L, K]`` of a seed, drawn once for all windows and groups of that shape."""
    noise = np.random.default_rng(seed).standard_normal((window, metrics), dtype=np.float32)
    noise.flags.writeable = False
    return noise


def row_score(contribution: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The reconstruction's view of each row ``[T]``: the mean contribution of the ``active[K]`` metrics.

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
    scaled: np.ndarray, plan: ScoringPlan, *, window: int, first: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of ``size`` (last row of each window, windows ``[B, L, K]``) that read every row from ``first`` on."""
    last = last_rows(len(scaled), first=first, read=plan.read, stride=plan.stride)
    # Windows whose rows to read hold no value at all have nothing to score.
    seen = np.concatenate([[0], np.cumsum((~np.isnan(scaled)).any(1))])
    last = last[seen[last + 1] > seen[np.maximum(last + 1 - plan.read, 0)]]
    yield from window_batches(scaled, last, window, size)
