"""Samplers: from noise to samples of the clean data, one algorithm per module, all over the same denoiser."""

from __future__ import annotations

from tsdiff_monitor.diffusion.samplers.heun import sample_heun

__all__ = ["sample_heun"]
