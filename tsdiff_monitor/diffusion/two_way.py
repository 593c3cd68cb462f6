"""The two-way network: one token per metric and patch of rows, attention over the patches and over the metrics in turn.

After CSDI (Tashiro et al., NeurIPS 2021, section 4.3), with patches for speed. No parameter belongs to a metric: what
a metric is, the network reads from its values, so one set of weights serves groups of any size, in any order. The
price: where all values of a metric are hidden, it cannot know which one is asked for, and answers with what is usual.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsdiff_monitor.diffusion.noise_embedding import NoiseEmbedding

__all__ = ["TwoWayNetwork"]

_HEAD_WIDTH = 16


class TwoWayNetwork(nn.Module):
    """F(noisy cells, noise level | given cells, masks), each ``[B, L, K]``, for any K.

    ``given`` counts within ``given_mask`` only and ``noisy`` within ``target_mask``; a cell in neither mask is missing.
    A metric missing from the whole window is not attended to: the others are answered as if it were not in the group.
    """

    any_metrics = True

    def __init__(self, *, window: int, patch: int, width: int, layers: int) -> None:
        super().__init__()
        self.window, self.patch, self.width, self.layers = window, patch, width, layers
        patches = math.ceil(window / patch)
        self.embed = nn.Linear(4 * patch, width)
        self.position = nn.Parameter(torch.randn(patches, width) * 0.02)
        self.noise = NoiseEmbedding(width)
        self.blocks = nn.ModuleList(_Block(width, over_time=patches > 1) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, patch)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        noisy: Float[Tensor, "B L K"],
        c_noise: Float[Tensor, " B"],
        given: Float[Tensor, "B L K"],
        target_mask: Bool[Tensor, "B L K"],
        given_mask: Bool[Tensor, "B L K"],
    ) -> Float[Tensor, "B L K"]:
        B, L, K = noisy.shape
        target, context = target_mask.to(noisy), given_mask.to(noisy)
        cells = torch.stack([noisy * target, given * context, target, context], -1)  # [B, L, K, 4]
        cells = nn.functional.pad(cells, (0, 0, 0, 0, -L % self.patch, 0))  # rows before the window are missing
        N = cells.shape[1] // self.patch
        cells = cells.view(B, N, self.patch, K, 4).transpose(2, 3).reshape(B, N, K, 4 * self.patch)
        level = self.noise(c_noise)  # [B, C]
        tokens = self.embed(cells) + self.position[:, None] + level[:, None, None]  # [B, N, K, C]
        absent = ~(target_mask | given_mask).any(1)  # [B, K]
        hidden = absent & ~absent.all(1, keepdim=True)  # were nothing attended to, softmax would have no value
        bias = torch.zeros_like(noisy[:, :1]).masked_fill(hidden[:, None], -torch.inf)[:, None]  # [B, 1, 1, K]
        for block in self.blocks:
            tokens = block(tokens, bias)
        out: Tensor = self.out(self.norm(tokens))  # [B, N, K, P]
        return out.transpose(2, 3).reshape(B, N * self.patch, K)[:, -L:]


class _Block(nn.Module):
    """Pre-norm transformer layer: over the patches of each metric, then over the metrics of each patch."""

    def __init__(self, width: int, *, over_time: bool) -> None:
        super().__init__()
        self.time = _Attention(width) if over_time else None
        self.metrics = _Attention(width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Float[Tensor, "B N K C"], bias: Float[Tensor, "B 1 1 K"]) -> Float[Tensor, "B N K C"]:
        if self.time is not None:
            tokens = tokens + self.time(tokens.transpose(1, 2)).transpose(1, 2)
        tokens = tokens + self.metrics(tokens, bias)
        out: Tensor = tokens + self.mlp(self.norm(tokens))
        return out


class _Attention(nn.Module):
    """Self-attention over the next to last axis."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in range(max(width // _HEAD_WIDTH, 1), 0, -1) if width % heads == 0)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(
        self, tokens: Float[Tensor, "B G M C"], bias: Float[Tensor, "B 1 1 M"] | None = None
    ) -> Float[Tensor, "B G M C"]:
        B, G, M, C = tokens.shape
        qkv = self.qkv(self.norm(tokens)).view(B * G, M, 3, self.heads, C // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if bias is not None:
            bias = bias.expand(B, G, 1, M).reshape(B * G, 1, 1, M)
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.project(attended.transpose(1, 2).reshape(B, G, M, C))
        return out
