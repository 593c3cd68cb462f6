"""The denoiser with its preconditioning: expected cells of a window, given others of its cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsdiff_monitor.diffusion.denoiser import AnyMetrics
from tsdiff_monitor.diffusion.precondition import Preconditioner

__all__ = ["Imputer"]


@dataclass(frozen=True)
class Imputer:
    """D(x; σ | given cells): network plus preconditioning. Windows hold scaled values, NaN where missing."""

    network: nn.Module
    precondition: Preconditioner

    @property
    def any_metrics(self) -> bool:
        """True if windows may have any number of metrics, missing ones being as if they were not there."""
        return isinstance(self.network, AnyMetrics) and bool(self.network.any_metrics)

    def denoise(
        self,
        noisy: Float[Tensor, "B L K"],
        sigma: Float[Tensor, " B"],
        windows: Float[Tensor, "B L K"],
        target: Bool[Tensor, "*#B L K"],
    ) -> Float[Tensor, "B L K"]:
        """One network evaluation: the expected clean value of every cell, given cells being themselves.

        ``target`` cells are read from ``noisy`` (at noise level ``sigma``); all others are given as they are in
        ``windows``, except missing ones, which are never given.
        """
        target = target.expand(windows.shape)
        observed = ~windows.isnan()
        given = observed & ~target
        level = sigma[:, None, None]
        noisy = torch.where(target, noisy, 0.0)
        values = torch.where(given, windows, 0.0)
        f: Tensor = self.network(
            self.precondition.c_in(level) * noisy, self.precondition.c_noise(sigma), values, target, given
        )
        denoised = self.precondition.c_skip(level) * noisy + self.precondition.c_out(level) * f
        return torch.where(given, windows, denoised)

    @torch.no_grad()
    def denoise_arrays(
        self, noisy: np.ndarray, sigma: float | np.ndarray, windows: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """:meth:`denoise` on writable arrays: scoring's :class:`~tsdiff_monitor.diffusion.denoiser.WindowDenoiser`."""
        level = torch.from_numpy(np.full(len(noisy), sigma, dtype=np.float32))
        given = (torch.from_numpy(array) for array in (windows, target))
        return np.asarray(self.denoise(torch.from_numpy(noisy), level, *given).numpy())
