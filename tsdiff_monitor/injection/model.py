"""Conditional samples of a fitted model, as generated incidents ask for them."""

from __future__ import annotations

import numpy as np

from tsdiff_monitor.diffusion.denoiser import WindowDenoiser
from tsdiff_monitor.diffusion.samplers import SAMPLERS, SamplerName
from tsdiff_monitor.injection.generated import ConditionalSampler
from tsdiff_monitor.scoring.scaling import Scaler

__all__ = ["conditional_sampler"]


def conditional_sampler(
    denoiser: WindowDenoiser, scaler: Scaler, *, sampler: SamplerName = "heun", steps: int = 6
) -> ConditionalSampler:
    """A :class:`ConditionalSampler` in the metrics' own units, one draw of ``steps`` noise levels per window.

    A metric that was constant in the history comes back as it was, one without values as missing.
    """
    draw = SAMPLERS[sampler]
    sigmas = draw.schedule(steps)

    def sample(windows: np.ndarray, hidden: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        B, L, K = windows.shape
        scaled = scaler.transform(windows.reshape(B * L, K)).reshape(B, L, K)

        def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
            return denoiser.denoise_arrays(x, sigma, scaled, hidden)

        def noise() -> np.ndarray:
            return generator.standard_normal((B, L, K), dtype=np.float32)

        drawn = draw.sample(denoise, noise() * sigmas[0], sigmas, noise)
        return np.where(hidden, scaler.inverse(drawn), windows)

    return sample
