"""The ``models`` section: how a monitor's detector is built and fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from tsdiff_monitor.durations import Duration
from tsdiff_monitor.settings_model import StrictModel

__all__ = ["DiffusionModelConfig"]


class DiffusionModelConfig(StrictModel):
    """A conditional diffusion imputation model, one per group."""

    type: Literal["diffusion"] = "diffusion"
    """The kind of model."""
    window: int = Field(default=64, ge=8, le=1024)
    """Rows the network sees at once."""
    fit_window: Duration = timedelta(days=14)
    """How much history a fit uses."""
    fit_steps: int = Field(default=500, ge=10)
    """Optimisation steps at most."""
    fit_budget: Duration = timedelta(minutes=5)
    """Time a fit of one group may take at most; it stops early and keeps what it has learned."""
    width: int = Field(default=128, ge=16, le=1024, multiple_of=8)
    """Channels of the network."""
    layers: int = Field(default=2, ge=1, le=12)
    """Transformer layers of the network."""
    band: float = Field(default=0.98, gt=0, lt=1)
    """Share of conditional samples that the expected band covers."""
    samples: int = Field(default=32, ge=8, le=512)
    """Conditional samples drawn for the expected band."""
    seed: int = 0
    """Seed of weights, masks and samples: the same data and seed give the same scores."""
