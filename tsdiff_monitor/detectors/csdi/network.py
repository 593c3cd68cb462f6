"""CSDI's denoising network: Tashiro et al., "CSDI: Conditional Score-based Diffusion Models for Probabilistic Time
Series Imputation", NeurIPS 2021 (arXiv 2107.03502), section 4.3, figure 2 and appendix D.

Residual layers as in DiffWave, gated; in each a transformer layer over time and one over features. Side information:
a sine embedding of time, a learned one of each feature, and the mask of the cells shown.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

__all__ = ["CsdiNetwork"]

_HEADS = 8
_TIME_WIDTH = 128
_FEATURE_WIDTH = 16
_STEP_WIDTH = 128


class CsdiNetwork(nn.Module):
    """ε(noisy targets, step | cells shown), each ``[B, L, K]``; about 414,000 parameters at the published size."""

    def __init__(self, metrics: int, *, window: int, channels: int, layers: int) -> None:
        super().__init__()
        self.project_in = nn.Linear(2, channels)
        self.feature = nn.Parameter(torch.randn(metrics, _FEATURE_WIDTH))
        self.register_buffer("time", _sines(torch.arange(window), _TIME_WIDTH), persistent=False)
        self.time: Tensor
        self.step = nn.Sequential(
            nn.Linear(_STEP_WIDTH, _STEP_WIDTH), nn.SiLU(), nn.Linear(_STEP_WIDTH, _STEP_WIDTH), nn.SiLU()
        )
        self.layers = nn.ModuleList(_ResidualLayer(channels) for _ in range(layers))
        self.head = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        noisy: Float[Tensor, "B L K"],
        step: Int[Tensor, " B"],
        shown: Float[Tensor, "B L K"],
        target: Bool[Tensor, "B L K"],
        shown_mask: Bool[Tensor, "B L K"],
    ) -> Float[Tensor, "B L K"]:
        """The noise in ``noisy``, read in the ``target`` cells, given ``shown`` in the ``shown_mask`` cells."""
        B, L, K = noisy.shape
        x = torch.stack([shown * shown_mask, noisy * target], -1)
        x = self.project_in(x).relu()  # [B, L, K, C]
        side = torch.cat(
            [
                self.time[None, :, None].expand(B, L, K, _TIME_WIDTH),
                self.feature.expand(B, L, K, _FEATURE_WIDTH),
                shown_mask[..., None].to(noisy),
            ],
            -1,
        )
        level = self.step(_sines(step, _STEP_WIDTH))  # [B, 128]
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, skip = layer(x, side, level)
            total = total + skip
        out: Tensor = self.out(self.head(total / math.sqrt(len(self.layers))).relu())
        return out[..., 0]


class _ResidualLayer(nn.Module):
    """One gated residual layer with two-dimensional attention (figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.level = nn.Linear(_STEP_WIDTH, channels)
        self.over_time = _transformer(channels)
        self.over_features = _transformer(channels)
        self.middle = nn.Linear(channels, 2 * channels)
        self.side = nn.Linear(_TIME_WIDTH + _FEATURE_WIDTH + 1, 2 * channels)
        self.project_out = nn.Linear(channels, 2 * channels)

    def forward(
        self, x: Float[Tensor, "B L K C"], side: Float[Tensor, "B L K S"], level: Float[Tensor, "B E"]
    ) -> tuple[Float[Tensor, "B L K C"], Float[Tensor, "B L K C"]]:
        B, L, K, C = x.shape
        y = x + self.level(level)[:, None, None]
        y = self.over_time(y.transpose(1, 2).reshape(B * K, L, C)).view(B, K, L, C).transpose(1, 2)
        y = self.over_features(y.reshape(B * L, K, C)).view(B, L, K, C)
        gate, signal = (self.middle(y) + self.side(side)).chunk(2, -1)
        residual, skip = self.project_out(gate.sigmoid() * signal.tanh()).chunk(2, -1)
        return (x + residual) / math.sqrt(2), skip


def _transformer(channels: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(channels, _HEADS, channels, activation="gelu", batch_first=True)


def _sines(position: Int[Tensor, " n"], width: int) -> Float[Tensor, "n {width}"]:
    """Sines and cosines of ``position`` at frequencies from 1 down to 1/10000 (equation 13)."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(width // 2) / (width // 2))
    angle = position[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], -1)
