"""Exact likelihood by the probability flow: Song et al., "Score-Based Generative Modeling through Stochastic
Differential Equations", ICLR 2021 (arXiv 2011.13456), section 4.3 and appendix D.2.

The flow dx/du = x - D(x; σ), u = ln σ, carries data to noise whose density is known; on its way the density changes by
the divergence of the flow (instantaneous change of variables, equation 39 there):

    ln p(x(u₀)) = ln p(x(u₁)) + ∫ div(x - D(x; σ)) du

The divergence is Hutchinson's unbiased estimate εᵀ (∂f/∂x) ε with Rademacher ε (equation 40), one derivative per probe.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tsdiff_monitor.diffusion.samplers.ode import runge_kutta_step
from tsdiff_monitor.diffusion.samplers.protocol import Denoiser

__all__ = ["Divergence", "flow_log_likelihood", "hutchinson", "rademacher"]

Divergence = Callable[[Callable[[Tensor], Tensor], Tensor], tuple[Tensor, Tensor]]
"""(function f, points ``[B, D]``) -> f at the points ``[B, D]`` and its divergence there ``[B]``."""


def rademacher(*shape: int, generator: torch.Generator) -> Tensor:
    """Independent signs of any ``shape``, ±1 with equal probability: the probes of least variance (Hutchinson 1990)."""
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0


def hutchinson(probes: Float[Tensor, "P _ D"]) -> Divergence:
    """The divergence estimated by the mean over P ``probes``, the same ones at every call.

    Kept fixed along the flow they make the integrand smooth. Probes may be shared by all points (``[P, 1, D]``).
    """

    def estimate(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = function(x)
            divergence = torch.zeros(len(x), dtype=x.dtype)
            for p, probe in enumerate(probes):
                (slope,) = torch.autograd.grad((value * probe).sum(), x, retain_graph=p + 1 < len(probes))
                divergence += (slope * probe).sum(1)
        return value.detach(), divergence / len(probes)

    return estimate


def flow_log_likelihood(
    denoise: Denoiser,
    x: Float[Tensor, "B D"],
    sigmas: Float[np.ndarray, " n"],
    divergence: Divergence,
    *,
    cells: Bool[Tensor, "#B D"] | None = None,
    sigma_data: float = 0.0,
) -> Float[Tensor, " B"]:
    """ln p(x) in nats per point, of data seen through noise of the smallest level above 0; ``sigmas`` fall.

    Only ``cells`` are variables (all, when None); the others are given, and ``denoise`` knows them: with a conditional
    denoiser it is the conditional likelihood. The distribution at ``sigmas[0]`` is taken as
    N(0, σ² + ``sigma_data``²), that of data of mean 0 and this deviation. Each step costs four derivatives.
    """
    levels = [sigma for sigma in sigmas.tolist() if sigma > 0][::-1]
    moving = torch.ones(1, x.shape[1], dtype=torch.bool) if cells is None else cells
    B = len(x)

    def slope(state: Tensor, u: float) -> Tensor:
        def drift(x: Tensor) -> Tensor:
            return torch.where(moving, x - denoise(x, math.exp(u)), 0.0)

        velocity, change = divergence(drift, state[:, :-1])
        return torch.cat([velocity, change[:, None]], 1)

    with torch.no_grad():
        state = torch.cat([x, torch.zeros(B, 1, dtype=x.dtype)], 1)  # the last column integrates the divergence
        for lower, sigma in pairwise(levels):
            state = runge_kutta_step(slope, state, math.log(lower), math.log(sigma))
    variance = levels[-1] ** 2 + sigma_data**2
    prior = -0.5 * (state[:, :-1] ** 2 / variance + math.log(2 * math.pi * variance))
    return torch.where(moving, prior, 0.0).sum(1) + state[:, -1]
