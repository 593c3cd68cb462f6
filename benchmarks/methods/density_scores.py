"""Densities of the hidden cells, given the others.

*Denoising terms.* The evidence lower bound of a diffusion model is an integral of denoising errors over the noise level
(Kingma et al., "Variational Diffusion Models", NeurIPS 2021 (arXiv 2107.00630), section 5.1, with SNR = 1/σ²):

    -ln p(x) <= ∫ E‖x - D(x + σε; σ)‖² / σ² d(ln σ) + const.

:func:`denoising_terms` gives the integrand per cell at a few levels, one fixed draw of ε each, and
:func:`evidence_bound` their integral.

*Flow likelihood.* :func:`flow_log_likelihoods` integrates the probability flow of whole windows, at some ten times the
work of one level (:mod:`benchmarks.methods.likelihood`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from benchmarks.methods.likelihood import flow_log_likelihood, hutchinson, rademacher
from tsdiff_monitor.diffusion.batching import CELLS_AT_ONCE, window_batches, windows_at_once
from tsdiff_monitor.diffusion.denoiser import WindowDenoiser
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.randomness import seeded
from tsdiff_monitor.diffusion.schedules import geometric_sigmas
from tsdiff_monitor.scoring.plan import ScoringPlan
from tsdiff_monitor.scoring.reconstruction import residuals

__all__ = ["SIGMAS", "denoising_terms", "evidence_bound", "flow_log_likelihoods"]

SIGMAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Noise levels from a hint that leaves little open to one that leaves almost everything open."""


def denoising_terms(
    imputer: WindowDenoiser,
    scaled: np.ndarray,
    plan: ScoringPlan,
    *,
    window: int,
    first: int,
    seed: int,
    sigmas: Sequence[float] = SIGMAS,
    cells_at_once: int = CELLS_AT_ONCE,
) -> np.ndarray:
    """The bound's integrand ‖x - D‖² / σ² for rows ``first <= t < T`` of ``scaled[T, K]``: ``[levels, T-first, K]``.

    Masks, windows and averaging are ``plan``'s, its own noise level is not used. NaN where a cell is missing. Divided
    by their means over normal rows, level by level and metric by metric, the terms are comparable scores.
    """
    terms = []
    for level, sigma in enumerate(sigmas):
        squared, _ = residuals(
            imputer, scaled, replace(plan, sigma=sigma),
            window=window, first=first, seed=seed + level, cells_at_once=cells_at_once,
        )  # fmt: skip
        terms.append(squared / sigma**2)
    return np.stack(terms)


def evidence_bound(terms: np.ndarray, sigmas: Sequence[float] = SIGMAS) -> np.ndarray:
    """The negative evidence bound per cell ``[T, K]`` in nats, up to a constant: the integral of ``terms`` over ln σ.

    By the trapezoidal rule, over the levels of ``sigmas`` alone: a narrower range leaves something out.
    """
    return np.asarray(np.trapezoid(terms, np.log(np.asarray(sigmas)), axis=0))


def flow_log_likelihoods(
    imputer: Imputer,
    scaled: np.ndarray,
    mask: Bool[np.ndarray, "L K"],
    ends: np.ndarray,
    *,
    seed: int,
    steps: int = 4,
    sigma_min: float = 0.1,
    sigma_max: float = 20.0,
    probes: int = 1,
    cells_at_once: int = CELLS_AT_ONCE,
) -> np.ndarray:
    """ln p(targets | all other observed cells) in nats per target cell, of the windows that end at rows ``ends[N]``.

    Targets are the observed cells of ``mask``; ``scaled[T, K]`` is NaN where missing, rows before the first count as
    missing. The flow takes ``steps`` Runge-Kutta steps (4 evaluations with derivatives each) between the two noise
    levels; the density is that of the data seen through noise of ``sigma_min``. The ``probes`` of the trace are the
    same for every window. NaN for a window without a target.
    """
    window, K = mask.shape
    sigmas = geometric_sigmas(steps + 1, sigma_min=sigma_min, sigma_max=sigma_max)
    signs = rademacher(probes, 1, window * K, generator=seeded(seed))
    out = [np.zeros(0)]
    # The derivative keeps what the network computed on its way: a tenth as many windows take the memory of the rest.
    size = windows_at_once(window, K, cells_at_once // 10)
    for _, batch in window_batches(scaled, ends, window, size):
        windows = torch.from_numpy(batch)
        target = torch.from_numpy(mask) & ~windows.isnan()

        def denoise(x: Tensor, sigma: float, windows: Tensor = windows, target: Tensor = target) -> Tensor:
            return imputer.denoise(x.view(windows.shape), torch.full((len(x),), sigma), windows, target).flatten(1)

        likelihood = flow_log_likelihood(
            denoise, windows.nan_to_num(0.0).flatten(1), sigmas, hutchinson(signs),
            cells=target.flatten(1), sigma_data=imputer.precondition.sigma_data,
        )  # fmt: skip
        cells = target.sum((1, 2))
        out.append(torch.where(cells > 0, likelihood / cells, torch.nan).numpy())
    return np.concatenate(out)
