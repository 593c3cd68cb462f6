"""The probability-flow ODE: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations",
ICLR 2021, equation 13, whose solutions have the same marginals as the SDE's.

In data units and in the time u = ln σ both the VE and the VP form read dx/du = x - D(x; σ). It is integrated by the
classical Runge-Kutta method of fourth order: from noise to data here, the other way for likelihoods
(``benchmarks/methods/likelihood.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float

from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser

__all__ = ["runge_kutta_step", "sample_ode"]


def sample_ode(denoise: Denoiser, x: Float[Array, "*shape"], sigmas: Float[Array, " n"]) -> Float[Array, "*shape"]:
    """Follow the flow from ``x`` (noise of level ``sigmas[0]``), four evaluations a step; the step to 0 gives D."""

    def drift(x: Array, u: float) -> Array:
        return x - denoise(x, math.exp(u))

    for sigma, lower in pairwise(sigmas.tolist()):
        if lower == 0:
            return denoise(x, sigma)
        x = runge_kutta_step(drift, x, math.log(sigma), math.log(lower))
    return x


def runge_kutta_step(
    slope: Callable[[Array, float], Array], x: Float[Array, "*shape"], start: float, end: float
) -> Float[Array, "*shape"]:
    """One step of the classical Runge-Kutta method for dx/du = ``slope(x, u)``, error of fifth order in its length."""
    h = end - start
    first = slope(x, start)
    second = slope(x + h / 2 * first, start + h / 2)
    third = slope(x + h / 2 * second, start + h / 2)
    fourth = slope(x + h * third, end)
    return x + h / 6 * (first + 2 * second + 2 * third + fourth)
