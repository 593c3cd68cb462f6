"""Noise levels that samplers step through."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["karras_sigmas"]


def karras_sigmas(
    steps: int, *, sigma_min: float = 0.02, sigma_max: float = 20.0, rho: float = 7.0
) -> Float[Tensor, " {steps}+1"]:
    """Karras et al. 2022, equation 5: ``steps`` falling noise levels, then 0."""
    share = torch.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + share * (low - high)) ** rho, torch.zeros(1)])
