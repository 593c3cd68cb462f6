"""The reference model's card. It is stored and read as the product's own (``diffusion/weights.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import model_validator

import tsdiff_monitor
from tsdiff_monitor.diffusion.weights import CARD_VERSION, MetricCard, StoredCard, metric_cards
from tsdiff_monitor.frame import Frame
from tsdiff_monitor.reference.config import CsdiReferenceConfig
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.settings_model import StrictModel

if TYPE_CHECKING:
    pass

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


class ReferenceCard(StoredCard):
    """Everything about a fitted reference model but its weights."""

    kind: Literal["csdi_reference"]
    config: CsdiReferenceConfig
    metrics: tuple[MetricCard, ...]
    modes: Mapping[str, NormalErrors]
    fit_start: str
    fit_end: str
    fit_rows: int
    step_seconds: float
    steps: int

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
        return cls(
            schema_version=CARD_VERSION,
            code_version=tsdiff_monitor.__version__,
            kind=config.type,
            config=config,
            metrics=metric_cards(frame, scaler),
            modes=modes,
            fit_start=frame.start.isoformat(),
            fit_end=frame.end.isoformat(),
            fit_rows=len(frame),
            step_seconds=frame.step.total_seconds(),
            steps=steps,
        )

    def scaler(self) -> Scaler:
        """The scaler of the fit."""
        return Scaler(
            np.array([m.location for m in self.metrics]),
            np.array([m.scale for m in self.metrics]),
            np.array([m.constant for m in self.metrics], dtype=bool),
            np.array([m.empty for m in self.metrics], dtype=bool),
        )
