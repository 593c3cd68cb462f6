"""Fourier embedding of the noise level."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["NoiseEmbedding"]


class NoiseEmbedding(nn.Sequential):
    """Sines and cosines of ``c_noise[B]`` at rising rates, through a small network: ``[B, width]``."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        rates = torch.exp(-math.log(1000.0) * torch.arange(width // 2) / (width // 2)) * 20
        self.register_buffer("rates", rates, persistent=False)
        self.rates: Tensor

    def forward(self, c_noise: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
        angle = c_noise[:, None] * self.rates
        level = torch.cat([angle.sin(), angle.cos()], -1)
        for layer in self:
            level = layer(level)
        return level
