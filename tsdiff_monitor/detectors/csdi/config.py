"""The configuration of ``type: csdi_reference``."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from tsdiff_monitor.detectors.settings import ModelSettings
from tsdiff_monitor.settings.durations import Duration

__all__ = ["CsdiReferenceConfig"]


class CsdiReferenceConfig(ModelSettings):
    """CSDI's network with ImDiffusion's procedure, as published: slow, for comparison with the product's own model."""

    type: Literal["csdi_reference"] = "csdi_reference"
    """The kind of model."""
    window: int = Field(default=100, ge=8, le=1024)
    """Rows the network sees at once."""
    fit_window: Duration = timedelta(days=14)
    """Length of the history that a fit uses."""
    fit_steps: int = Field(default=2000, ge=10)
    """Optimisation steps at most, of 16 windows each."""
    fit_budget: Duration = timedelta(hours=1)
    """Time the training of one group may take at most; it stops early and keeps what it has learned."""
    layers: int = Field(default=4, ge=1, le=12)
    """Residual layers of the network."""
    channels: int = Field(default=64, ge=8, le=512, multiple_of=8)
    """Channels of the network, 8 attention heads in all sizes."""
    steps: int = Field(default=50, ge=2, le=1000)
    """Denoising steps, as many as the noise schedule has."""
    conditional: bool = False
    """Show the network the values around the hidden ones (CSDI), or only a noised copy of them (ImDiffusion)."""
    vote_steps: int = Field(default=10, ge=1)
    """Denoising steps that vote, the last one included."""
    vote_every: int = Field(default=3, ge=1)
    """Distance between the denoising steps that vote."""
    vote_percentile: float = Field(default=98.0, gt=0, lt=100)
    """Percentile of the last step's errors on held-out rows above which that step votes for an anomaly."""
    calibration_windows: int = Field(default=32, ge=4)
    """Held-out windows denoised to learn what normal errors are, for each scoring mode."""
    band: float = Field(default=0.98, gt=0, lt=1)
    """Share of samples that the expected band covers."""
    samples: int = Field(default=16, ge=2, le=512)
    """Samples drawn for the expected band."""
    seed: int = 0
    """Seed of weights, training and noise: the same data and seed give the same scores."""
