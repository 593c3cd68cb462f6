"""The reference model's card. It is stored and read as that of a diffusion model (``detectors/diffusion/files.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from tsdiff_monitor.detectors.cards import FittedCard, StoredCard
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["CsdiCard", "NormalErrors"]

_MODES = {"stream", "batch"}


class NormalErrors(StrictModel):
    """Errors of normal rows: ``ratios[V]`` of the voting steps; ``metrics[K]``, squared, on the last step's scale.

    ``vote_threshold`` is a row's error above which the last step votes; ``calibration`` is that of the rows' errors.
    """

    ratios: tuple[float, ...]
    metrics: tuple[float, ...]
    vote_threshold: float
    calibration: Calibration


class CsdiCard(FittedCard, StoredCard):
    """Everything about a fitted reference model but its weights."""

    kind: Literal["csdi_reference"]
    config: CsdiReferenceConfig
    modes: Mapping[str, NormalErrors]
    steps: int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.modes) != _MODES:
            raise ValueError(f"modes must be {', '.join(sorted(_MODES))}")
        if any(len(mode.metrics) != len(self.metrics) for mode in self.modes.values()):
            raise ValueError("a mode must have one normal error per metric")
        return self
