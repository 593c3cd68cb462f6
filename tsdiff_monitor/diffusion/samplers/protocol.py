"""What all samplers are given, whatever their algorithm."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["Denoiser", "Noise"]

Denoiser = Callable[[Tensor, float], Tensor]
"""D(x; σ): the expected clean value of ``x``, which is the data plus noise of deviation σ, in the data's units."""
Noise = Callable[[], Tensor]
"""A fresh draw of standard normal noise of the samples' shape. The caller owns the generator behind it."""
