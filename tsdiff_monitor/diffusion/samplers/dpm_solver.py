"""DPM-Solver++(2M): Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022
(arXiv 2211.01095), algorithm 2: second order from one evaluation a step, by remembering the previous one.
"""

from __future__ import annotations

import math
from itertools import pairwise

from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser

__all__ = ["sample_dpm_solver"]


def sample_dpm_solver(
    denoise: Denoiser, x: Float[Array, "*shape"], sigmas: Float[Array, " n"]
) -> Float[Array, "*shape"]:
    """Follow the probability flow in λ = ln(α/σ), which is -ln σ in data units (α = 1).

    ``x`` is noise of level ``sigmas[0]``. The first step, and the step to σ = 0 (of infinite length in λ), are of first
    order; the latter gives D itself.
    """
    previous: tuple[Array, float] | None = None
    for sigma, lower in pairwise(sigmas.tolist()):
        x_0 = denoise(x, sigma)
        if lower == 0:
            return x_0
        h = math.log(sigma / lower)
        extrapolated = x_0
        if previous is not None:
            x_0_before, h_before = previous
            r = h_before / h
            extrapolated = (1 + 1 / (2 * r)) * x_0 - 1 / (2 * r) * x_0_before
        x = lower / sigma * x - math.expm1(-h) * extrapolated
        previous = (x_0, h)
    return x
