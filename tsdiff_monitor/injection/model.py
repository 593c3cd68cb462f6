"""Conditional samples of a fitted imputer, as generated incidents ask for them (needs torch)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.samplers import SAMPLERS, SamplerName
from tsdiff_monitor.injection.generated import ConditionalSampler
from tsdiff_monitor.scoring.scaling import Scaler

__all__ = ["conditional_sampler"]


def conditional_sampler(
    imputer: Imputer, scaler: Scaler, *, sampler: SamplerName = "heun", steps: int = 6
) -> ConditionalSampler:
    """A :class:`ConditionalSampler` in the metrics' own units, one draw of ``steps`` noise levels per window.

    A metric that was constant in the history comes back as it was, one without values as missing.
    """
    draw = SAMPLERS[sampler]
    sigmas = draw.schedule(steps)

    @torch.no_grad()
    def sample(windows: np.ndarray, hidden: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        B, L, K = windows.shape
        scaled = torch.from_numpy(scaler.transform(windows.reshape(B * L, K)).reshape(B, L, K))
        target = torch.from_numpy(hidden)
        noise_of = torch.Generator().manual_seed(int(generator.integers(2**62)))

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return imputer.denoise(x, torch.full((len(x),), sigma), scaled, target)

        def noise() -> Tensor:
            return torch.randn(B, L, K, generator=noise_of)

        drawn = draw.sample(denoise, noise() * sigmas[0], sigmas, noise).numpy()
        return np.where(hidden, scaler.inverse(drawn), windows)

    return sample
