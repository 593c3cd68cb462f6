"""The contract of a network for scoring, independent of the runtime that computes it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

__all__ = ["WindowDenoiser"]


class WindowDenoiser(Protocol):
    """D(x; σ | given cells) on plain arrays: by torch (:class:`~tsdiff_monitor.diffusion.imputer.Imputer`) or by ONNX
    Runtime (:class:`~tsdiff_monitor.diffusion.onnx_denoiser.OnnxDenoiser`)."""

    def denoise_arrays(self, noisy: np.ndarray, sigma: float, windows: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The expected clean value of every cell, float32 ``[B, L, K]``.

        ``target[B, L, K]`` cells are read from ``noisy`` (float32, at noise level ``sigma``), all others are given as
        they are in ``windows`` (float32, scaled units), except missing ones (NaN), which are never given.
        """
        ...
