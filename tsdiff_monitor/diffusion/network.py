"""The light network: one token per row, all metrics of a row in it, transformer layers over time.

It is cheap (attention over L rows only) at the price of being tied to the metrics it was fit on. All metrics of a row
share one token, which blurs each one's own course; a small second path reads every metric's own window.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsdiff_monitor.diffusion.noise_embedding import NoiseEmbedding

__all__ = ["TimeTokenNetwork"]

_HEAD_WIDTH = 32


class TimeTokenNetwork(nn.Module):
    """F(noisy cells, noise level | given cells, masks), each ``[B, L, K]``.

    ``given`` is 0 outside of ``given_mask`` and ``noisy`` is 0 outside of ``target_mask``; a cell in neither mask is
    missing: the network learns only that it is missing.
    """

    def __init__(self, metrics: int, *, window: int, width: int, layers: int) -> None:
        super().__init__()
        self.metrics, self.window, self.width, self.layers = metrics, window, width, layers
        self.embed = nn.Linear(4 * metrics, width)
        self.position = nn.Parameter(torch.randn(window, width) * 0.02)
        self.noise = NoiseEmbedding(width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, metrics)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.own = _OwnPath(window, width)

    def forward(
        self,
        noisy: Float[Tensor, "B L K"],
        c_noise: Float[Tensor, " B"],
        given: Float[Tensor, "B L K"],
        target_mask: Bool[Tensor, "B L K"],
        given_mask: Bool[Tensor, "B L K"],
    ) -> Float[Tensor, "B L K"]:
        level = self.noise(c_noise)  # [B, C]
        cells = torch.cat([noisy, given, target_mask.to(noisy), given_mask.to(noisy)], -1)  # [B, L, 4K]
        tokens = self.embed(cells) + self.position + level[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.out(self.norm(tokens)) + self.own(noisy, given, target_mask, given_mask, level)
        return out


class _OwnPath(nn.Module):
    """The path of a metric's own values: one small network over the window of one metric, the same for all."""

    def __init__(self, window: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(4 * window, width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.norm_out = nn.LayerNorm(width)
        self.out = nn.Linear(width, window)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        noisy: Float[Tensor, "B L K"],
        given: Float[Tensor, "B L K"],
        target_mask: Bool[Tensor, "B L K"],
        given_mask: Bool[Tensor, "B L K"],
        level: Float[Tensor, "B C"],
    ) -> Float[Tensor, "B L K"]:
        cells = torch.cat([noisy, given, target_mask.to(noisy), given_mask.to(noisy)], 1)  # [B, 4L, K]
        tokens = self.embed(cells.transpose(1, 2)) + level[:, None]  # [B, K, C]
        tokens = tokens + self.mlp(self.norm(tokens))
        out: Tensor = self.out(self.norm_out(tokens))
        return out.transpose(1, 2)


class _Block(nn.Module):
    """Pre-norm transformer layer over the rows of a window."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in range(max(width // _HEAD_WIDTH, 1), 0, -1) if width % heads == 0)
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Float[Tensor, "B L C"]) -> Float[Tensor, "B L C"]:
        B, L, C = tokens.shape
        qkv = self.qkv(self.norm_attention(tokens)).view(B, L, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.project(attended.transpose(1, 2).reshape(B, L, C))
        out: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return out
