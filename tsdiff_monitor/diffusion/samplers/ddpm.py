"""DDPM's ancestral sampler: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (arXiv 2006.11239)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser, Noise
from tsdiff_monitor.diffusion.schedules import alpha_bar_of

__all__ = ["sample_ddpm"]


def sample_ddpm(
    denoise: Denoiser, x: Float[Array, "*shape"], sigmas: Float[Array, " n"], noise: Noise
) -> Float[Array, "*shape"]:
    """Draw x_{t-1} from q(x_{t-1} | x_t, x₀) with x₀ = D (equations 6 and 7, algorithm 2), level by level.

    The levels become a variance-preserving process by ᾱ = 1 / (1 + σ²), with α_t = ᾱ_t / ᾱ_{t-1} and β_t = 1 - α_t.
    ``x`` is noise of level ``sigmas[0]``; ``sigmas`` fall to 0, where the posterior is D itself, without noise.
    """
    alphas_bar = alpha_bar_of(np.asarray(sigmas, np.float64)).tolist()
    x_t = math.sqrt(alphas_bar[0]) * x
    for sigma, kept, kept_next in zip(sigmas[:-1].tolist(), alphas_bar[:-1], alphas_bar[1:], strict=True):
        x_0 = denoise(x_t / math.sqrt(kept), sigma)
        alpha = kept / kept_next
        beta = 1 - alpha
        mean = math.sqrt(kept_next) * beta / (1 - kept) * x_0 + math.sqrt(alpha) * (1 - kept_next) / (1 - kept) * x_t
        variance = (1 - kept_next) / (1 - kept) * beta
        x_t = mean + math.sqrt(variance) * noise() if variance > 0 else mean
    return x_t
