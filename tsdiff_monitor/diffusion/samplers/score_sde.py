"""The reverse SDE: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021
(arXiv 2011.13456), in its variance-exploding (VE) and variance-preserving (VP) form.

The score comes from the denoiser (Tweedie): ∇ ln p_σ(x) = (D(x; σ) - x) / σ². Both SDEs are integrated in the time in
which they are simplest, so that only the levels matter and not the speed at which a schedule runs through them:
σ² for VE, dx = dw, and B = ∫β dt = ln(1 + σ²) for VP, dx = -½x dB + dw.
"""

from __future__ import annotations

import math
from itertools import pairwise

from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser, Noise

__all__ = ["sample_sde_ve", "sample_sde_vp"]


def sample_sde_ve(
    denoise: Denoiser,
    x: Float[Array, "*shape"],
    sigmas: Float[Array, " n"],
    noise: Noise,
    *,
    corrections: int = 0,
    signal_to_noise: float = 0.16,
) -> Float[Array, "*shape"]:
    """Reverse-time SDE (equation 6) with f = 0 by Euler-Maruyama, with ``corrections`` Langevin steps per level.

    With corrections it is the predictor-corrector sampler (algorithm 2 there). The last step, to σ = 0, draws no noise
    and gives D itself.
    """
    for sigma, lower in pairwise(sigmas.tolist()):
        passed = sigma**2 - lower**2
        x = x + passed * _score(denoise, x, sigma)
        if lower == 0:
            break
        x = x + math.sqrt(passed) * noise()
        for _ in range(corrections):
            x = _langevin(denoise, x, lower, noise, signal_to_noise)
    return x


def sample_sde_vp(
    denoise: Denoiser,
    x: Float[Array, "*shape"],
    sigmas: Float[Array, " n"],
    noise: Noise,
    *,
    corrections: int = 0,
    signal_to_noise: float = 0.16,
) -> Float[Array, "*shape"]:
    """Reverse-time SDE (equation 6) with f = -½βx by Euler-Maruyama, with ``corrections`` Langevin steps per level.

    Its state is x_vp = √ᾱ·x with score ∇ ln p(x_vp) = ∇ ln p_σ(x) / √ᾱ. The last step, to σ = 0, gives D itself.
    """
    for sigma, lower in pairwise(sigmas.tolist()):
        if lower == 0:
            return denoise(x, sigma)
        kept, kept_next = 1 / math.sqrt(1 + sigma**2), 1 / math.sqrt(1 + lower**2)  # √ᾱ
        passed = math.log1p(sigma**2) - math.log1p(lower**2)
        x_vp = kept * x
        x_vp = x_vp + passed * (x_vp / 2 + _score(denoise, x, sigma) / kept) + math.sqrt(passed) * noise()
        x = x_vp / kept_next
        for _ in range(corrections):
            x = _langevin(denoise, x, lower, noise, signal_to_noise)
    return x


def _score(denoise: Denoiser, x: Array, sigma: float) -> Array:
    return (denoise(x, sigma) - x) / sigma**2


def _langevin(denoise: Denoiser, x: Array, sigma: float, noise: Noise, signal_to_noise: float) -> Array:
    """A corrector step, ε = 2 (r σ)² (algorithms 4 and 5).

    There the ratio of the norms of noise and score stands for σ, which it equals on average; σ itself keeps a sample
    independent of the others in its batch.
    """
    step = 2 * (signal_to_noise * sigma) ** 2
    return x + step * _score(denoise, x, sigma) + math.sqrt(2 * step) * noise()
