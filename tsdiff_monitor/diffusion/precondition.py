"""EDM preconditioning: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
NeurIPS 2022 (arXiv 2206.00364), table 1 and equations 7 and 8.

The network F sees input and target of unit variance at every noise level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Preconditioner", "sample_sigma"]


@dataclass(frozen=True)
class Preconditioner:
    """The four scalings of D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise) for data of deviation ``sigma_data``."""

    sigma_data: float = 1.0

    def c_skip(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The share of the noisy value that is kept."""
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The scale of the network's answer."""
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()

    def c_in(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The scale of the network's noisy input."""
        return 1 / (sigma**2 + self.sigma_data**2).sqrt()

    def c_noise(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The noise level as the network's input."""
        return sigma.log() / 4

    def loss_weight(self, sigma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """λ(σ) = 1 / c_out², which gives every noise level the same weight at the start of training."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2


def sample_sigma(n: int, *, mean: float, deviation: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Noise levels for training: ln σ ~ N(mean, deviation²) (table 1, "noise distribution")."""
    return (mean + deviation * torch.randn(n, generator=generator)).exp()
