"""DDIM: Song, Meng, Ermon, "Denoising Diffusion Implicit Models", ICLR 2021 (arXiv 2010.02502)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser, Noise
from tsdiff_monitor.diffusion.schedules import alpha_bar_of

__all__ = ["sample_ddim"]


def sample_ddim(
    denoise: Denoiser, x: Float[Array, "*shape"], sigmas: Float[Array, " n"], noise: Noise, *, eta: float = 0.0
) -> Float[Array, "*shape"]:
    """Equation 12 with the noise of equation 16: deterministic for ``eta`` = 0, DDPM's ancestral sampler for 1.

    ``x`` is noise of level ``sigmas[0]``; ``sigmas`` fall to 0. With ``eta`` = 0 no noise is drawn.
    """
    alphas_bar = alpha_bar_of(np.asarray(sigmas, np.float64)).tolist()
    x_t = math.sqrt(alphas_bar[0]) * x
    for sigma, kept, kept_next in zip(sigmas[:-1].tolist(), alphas_bar[:-1], alphas_bar[1:], strict=True):
        x_0 = denoise(x_t / math.sqrt(kept), sigma)
        epsilon = (x_t - math.sqrt(kept) * x_0) / math.sqrt(1 - kept)
        spread = eta * math.sqrt((1 - kept_next) / (1 - kept) * (1 - kept / kept_next))
        x_t = math.sqrt(kept_next) * x_0 + math.sqrt(1 - kept_next - spread**2) * epsilon
        if spread > 0:
            x_t = x_t + spread * noise()
    return x_t
