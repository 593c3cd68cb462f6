"""The reference model's card. It is stored and read as the product's own (``diffusion/weights.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from tsdiff_monitor.detectors.cards import FittedCard
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["NormalErrors", "ReferenceCard"]

_MODES = {"stream", "batch"}


class NormalErrors(StrictModel):
    """Errors of normal rows: ``ratios[V]`` of the voting steps; ``metrics[K]``, squared, on the last step's scale.

    ``vote_threshold`` is a row's error above which the last step votes; ``calibration`` is the law of block maxima.
    """

    ratios: tuple[float, ...]
    metrics: tuple[float, ...]
    vote_threshold: float
    calibration: Calibration


class ReferenceCard(FittedCard):
    """Everything about a fitted reference model but its weights."""

    kind: Literal["csdi_reference"]
    config: CsdiReferenceConfig
    modes: Mapping[str, NormalErrors]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.modes) != _MODES:
            raise ValueError(f"modes must be {', '.join(sorted(_MODES))}")
        if any(len(mode.metrics) != len(self.metrics) for mode in self.modes.values()):
            raise ValueError("a mode must have one normal error per metric")
        return self

    @classmethod
    def describe(
        cls,
        frame: Frame,
        scaler: Scaler,
        config: CsdiReferenceConfig,
        *,
        modes: Mapping[str, NormalErrors],
        steps: int,
    ) -> Self:
        """The card of a model just fit on ``frame``."""
        return cls.of_fit(frame, scaler, config, modes=modes, steps=steps)
