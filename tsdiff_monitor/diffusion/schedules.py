"""Noise levels that samplers step through, and how the papers' ways of writing them translate into each other.

σ is always the deviation of the noise in data units (EDM's and the variance-exploding way to write it). A
variance-preserving process writes the same noisy value as √ᾱ·x₀ + √(1 - ᾱ)·ε, which is √ᾱ·(x₀ + σ·ε) with

    σ² = (1 - ᾱ) / ᾱ,    ᾱ = 1 / (1 + σ²).

Every schedule gives its levels falling, and then 0.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

__all__ = [
    "Schedule",
    "alpha_bar_of",
    "geometric_sigmas",
    "karras_sigmas",
    "sigma_of",
    "vp_sigmas",
]


@runtime_checkable
class Schedule(Protocol):
    """``steps`` noise levels falling from ``sigma_max`` to ``sigma_min``, then 0."""

    def __call__(self, steps: int, *, sigma_min: float = ..., sigma_max: float = ...) -> np.ndarray: ...


def sigma_of(alpha_bar: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    """The noise level σ at which a variance-preserving process has kept the share ᾱ of the variance."""
    return ((1 - alpha_bar) / alpha_bar) ** 0.5


def alpha_bar_of(sigma: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    """The inverse of :func:`sigma_of`."""
    return 1 / (1 + sigma**2)


def karras_sigmas(
    steps: int, *, sigma_min: float = 0.02, sigma_max: float = 20.0, rho: float = 7.0
) -> Float[np.ndarray, " {steps}+1"]:
    """Karras et al. 2022, equation 5: ``steps`` falling noise levels, then 0."""
    share = np.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _to_zero((high + share * (low - high)) ** rho)


def geometric_sigmas(
    steps: int, *, sigma_min: float = 0.02, sigma_max: float = 20.0
) -> Float[np.ndarray, " {steps}+1"]:
    """Levels with a constant ratio: Song et al. 2021 (score SDE), appendix C, σ(t) = σ_min (σ_max / σ_min)^t.

    They are uniform in the logarithm of the signal-to-noise ratio, as DPM-Solver steps (Lu et al. 2022).
    """
    share = np.linspace(0, 1, steps)
    return _to_zero(sigma_max * (sigma_min / sigma_max) ** share)


def vp_sigmas(
    steps: int,
    *,
    sigma_min: float = 0.02,
    sigma_max: float = 20.0,
    beta_min: float = 0.1,
    beta_max: float = 20.0,
) -> Float[np.ndarray, " {steps}+1"]:
    """Levels uniform in the time of the VP SDE with β(t) = β_min + t (β_max - β_min): Song et al. 2021, appendix C.

    There -ln ᾱ(t) = ∫β = β_min t + (β_max - β_min) t² / 2, and it is ln(1 + σ²); both directions are closed forms.
    """
    slope = beta_max - beta_min
    ends = np.log1p(np.square([sigma_max, sigma_min]))
    late, early = (np.sqrt(beta_min**2 + 2 * slope * ends) - beta_min) / slope
    t = late + np.linspace(0, 1, steps) * (early - late)
    return _to_zero(np.sqrt(np.expm1(beta_min * t + slope * t**2 / 2)))


def _to_zero(sigmas: np.ndarray) -> np.ndarray:
    return np.append(sigmas, 0.0).astype(np.float32)
