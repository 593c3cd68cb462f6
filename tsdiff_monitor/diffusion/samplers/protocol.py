"""Types of the arguments that all samplers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Array", "Denoiser", "Noise"]

Array: TypeAlias = Any
"""A NumPy array or a torch tensor: samplers need no more of it than arithmetic, and give back what they are given."""
Denoiser = Callable[[Array, float], Array]
"""D(x; σ): the expected clean value of ``x``, which is the data plus noise of deviation σ, in the data's units."""
Noise = Callable[[], Array]
"""A fresh draw of standard normal noise of the samples' shape. The caller owns the generator behind it."""
