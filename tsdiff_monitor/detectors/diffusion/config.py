"""An entry of the ``models`` section of type ``diffusion``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tsdiff_monitor.detectors.settings import ModelSettings
from tsdiff_monitor.settings.durations import Duration

__all__ = ["DiffusionModelConfig"]

_SHARED_DEFAULTS: Mapping[str, Any] = {"fit_steps": 1500, "fit_budget": "15m", "layers": 3}
"""Defaults with ``shared``: the one network learns from all groups, and has to be somewhat larger."""


class DiffusionModelConfig(ModelSettings):
    """A conditional diffusion imputation model, one per group or one for all groups of a monitor."""

    type: Literal["diffusion"] = "diffusion"
    """The kind of model."""
    window: int = Field(default=64, ge=8, le=1024)
    """Rows the network sees at once."""
    fit_window: Duration = timedelta(days=14)
    """Length of the history that a fit uses."""
    shared: bool = False
    """One network for all groups of a monitor, fit on all of them together; each group has scales and a codebook of its
    own, and thresholds of its own where its history is long. A group that appears later is served by it at once."""
    adapt_steps: int = Field(default=0, ge=0)
    """Optimisation steps by which the shared network is adapted to each group; only with `shared`."""
    fit_steps: int = Field(default=500, ge=10)
    """Optimisation steps at most; with `shared` 1500 when left out, for all groups together."""
    fit_budget: Duration = timedelta(minutes=5)
    """Time the training of one network may take at most, with `shared` `15m` when left out; it stops early and keeps
    what it has learned."""
    score: Literal["hybrid", "reconstruction", "density"] = "hybrid"
    """Evidence of a row's score: residuals of imputation, distance from all of the history, or both together."""
    network: Literal["auto", "time", "two_way"] = "auto"
    """`time` reads all metrics of a row together and each metric's own past; `two_way` serves any number of metrics,
    is cheaper, and knows less of what one says about another. `auto`: `time`, but `two_way` for a single metric and
    with `shared`."""
    width: int = Field(default=128, ge=16, le=1024, multiple_of=8)
    """Channels of the network."""
    layers: int = Field(default=2, ge=1, le=12)
    """Transformer layers of the network; with `shared` 3 when left out."""
    band: float = Field(default=0.98, gt=0, lt=1)
    """Share of conditional samples that the expected band covers."""
    samples: int = Field(default=32, ge=8, le=512)
    """Conditional samples drawn for the expected band."""
    sampler: Literal["heun", "ddim", "ddpm", "sde_vp", "sde_ve", "ode", "dpm_solver"] = "heun"
    """Sampler of the band; `ddpm`, `sde_vp` and `sde_ve` add noise at every step and need 50 steps or more."""
    sampler_steps: int = Field(default=6, ge=2, le=1000)
    """Noise levels a sampler passes; more take longer and come closer to the model's own distribution."""
    seed: int = 0
    """Seed of weights, masks and samples: the same data and seed give the same scores."""
    runtime: Literal["torch", "onnx"] = "torch"
    """Library that computes the network when scoring: `onnx` is ONNX Runtime, for machines without torch. A fit takes
    torch."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Numbers of the network; `int8` (dynamic quantisation, only with `onnx`) is smaller and a little less exact."""
    cold_start: Literal["smoothing", "seasonal", "none"] = "smoothing"
    """Baseline that scores a group without a fitted model, from about half an hour of rows on; `none` waits."""

    @model_validator(mode="before")
    @classmethod
    def _of_shared(cls, raw: Any) -> Any:
        """The defaults of a shared network, where the user says nothing."""
        return {**_SHARED_DEFAULTS, **raw} if isinstance(raw, Mapping) and raw.get("shared") is True else raw

    @model_validator(mode="after")
    def _all_used(self) -> Self:
        if self.precision != "fp32" and self.runtime == "torch":
            raise ValueError("`precision` has no effect with runtime 'torch'; leave it out, or use runtime 'onnx'")
        if self.adapt_steps and not self.shared:
            raise ValueError("`adapt_steps` has no effect without `shared: true`; leave it out, or share the network")
        if self.shared and self.network == "time":
            raise ValueError(
                "`network: time` is tied to the metrics of one group and cannot be shared; leave it out, or use two_way"
            )
        return self

    def is_two_way(self, metrics: int) -> bool:
        """True where a group of ``metrics`` has the network that knows no metric but by its values."""
        return self.shared or self.network == "two_way" or (self.network == "auto" and metrics == 1)
