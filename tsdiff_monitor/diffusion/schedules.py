"""Noise levels that samplers step through, and how the papers' ways of writing them translate into each other.

σ is always the deviation of the noise in data units (EDM's and the variance-exploding way to write it). A
variance-preserving process writes the same noisy value as √ᾱ·x₀ + √(1 - ᾱ)·ε, which is √ᾱ·(x₀ + σ·ε) with

    σ² = (1 - ᾱ) / ᾱ,    ᾱ = 1 / (1 + σ²).

Every schedule gives its levels falling, and then 0.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "Schedule",
    "alpha_bar_of",
    "beta_sigmas",
    "geometric_sigmas",
    "karras_sigmas",
    "linear_betas",
    "quadratic_betas",
    "sigma_of",
    "vp_sigmas",
]


@runtime_checkable
class Schedule(Protocol):
    """``steps`` noise levels falling from ``sigma_max`` to ``sigma_min``, then 0."""

    def __call__(self, steps: int, *, sigma_min: float = ..., sigma_max: float = ...) -> Tensor: ...


def sigma_of(alpha_bar: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The noise level σ at which a variance-preserving process has kept the share ᾱ of the variance."""
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_of(sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The inverse of :func:`sigma_of`."""
    return 1 / (1 + sigma**2)


def karras_sigmas(
    steps: int, *, sigma_min: float = 0.02, sigma_max: float = 20.0, rho: float = 7.0
) -> Float[Tensor, " {steps}+1"]:
    """Karras et al. 2022, equation 5: ``steps`` falling noise levels, then 0."""
    share = torch.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _to_zero((high + share * (low - high)) ** rho)


def geometric_sigmas(steps: int, *, sigma_min: float = 0.02, sigma_max: float = 20.0) -> Float[Tensor, " {steps}+1"]:
    """Levels with a constant ratio: Song et al. 2021 (score SDE), appendix C, σ(t) = σ_min (σ_max / σ_min)^t.

    They are uniform in the logarithm of the signal-to-noise ratio, as DPM-Solver steps (Lu et al. 2022).
    """
    share = torch.linspace(0, 1, steps)
    return _to_zero(sigma_max * (sigma_min / sigma_max) ** share)


def vp_sigmas(
    steps: int,
    *,
    sigma_min: float = 0.02,
    sigma_max: float = 20.0,
    beta_min: float = 0.1,
    beta_max: float = 20.0,
) -> Float[Tensor, " {steps}+1"]:
    """Levels uniform in the time of the VP SDE with β(t) = β_min + t (β_max - β_min): Song et al. 2021, appendix C.

    There -ln ᾱ(t) = ∫β = β_min t + (β_max - β_min) t² / 2, and it is ln(1 + σ²); both directions are closed forms.
    """
    slope = beta_max - beta_min
    ends = torch.tensor([sigma_max, sigma_min], dtype=torch.float64).square().log1p()
    late, early = ((beta_min**2 + 2 * slope * ends).sqrt() - beta_min) / slope
    t = late + torch.linspace(0, 1, steps) * (early - late)
    return _to_zero((beta_min * t + slope * t**2 / 2).expm1().sqrt().float())


def linear_betas(steps: int, *, first: float = 1e-4, last: float = 0.02) -> Float[Tensor, " {steps}"]:
    """Ho et al. 2020, section 4: β rises evenly from ``first`` to ``last``."""
    return torch.linspace(first, last, steps)


def quadratic_betas(steps: int, *, first: float = 1e-4, last: float = 0.5) -> Float[Tensor, " {steps}"]:
    """Tashiro et al. 2021 (CSDI), appendix E: √β rises evenly; CSDI and ImDiffusion take 50 steps."""
    return torch.linspace(first**0.5, last**0.5, steps) ** 2


def beta_sigmas(betas: Float[Tensor, " n"]) -> Float[Tensor, " n+1"]:
    """The levels of a discrete VP process: ᾱ_t = ∏(1 - β_s) (Ho et al. 2020, equation 4), latest first, then 0."""
    alpha_bar = (1 - betas.double()).cumprod(0)
    return _to_zero(sigma_of(alpha_bar).flip(0).to(betas.dtype))


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, torch.zeros(1, dtype=sigmas.dtype)])
