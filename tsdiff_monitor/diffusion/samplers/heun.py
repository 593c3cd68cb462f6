"""EDM's deterministic second-order sampler: Karras et al. 2022, algorithm 1."""

from __future__ import annotations

from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser

__all__ = ["sample_heun"]


def sample_heun(denoise: Denoiser, x: Float[Array, "*shape"], sigmas: Float[Array, " n"]) -> Float[Array, "*shape"]:
    """Follow dx/dσ = (x - D(x; σ)) / σ from ``x`` (noise of level ``sigmas[0]``) to ``sigmas[-1]`` = 0."""
    for sigma, lower in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        slope = (x - denoise(x, sigma)) / sigma
        euler = x + (lower - sigma) * slope
        if lower == 0:
            x = euler
        else:
            slope_end = (euler - denoise(euler, lower)) / lower
            x = x + (lower - sigma) * (slope + slope_end) / 2
    return x
