"""A baseline on disk: one JSON card and nothing else, replaced as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import to_json

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.forecaster import Forecaster
from tsdiff_monitor.detectors.baseline.seasonal import Seasonal
from tsdiff_monitor.detectors.baseline.smoothing import Smoothing
from tsdiff_monitor.detectors.cards import CARD, FittedCard, MetricCard, metric_cards, read_card
from tsdiff_monitor.errors import DamagedModelError
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.system.atomic_files import atomic_path

__all__ = ["BaselineCard", "BaselineMetric", "describe_metrics", "load_card", "save_card"]

_NORMALISER_FLOOR = 0.1
"""Least expected residual of a metric: one that hardly ever moves must not dominate by a rounding."""

_SIGNED = (
    "schema_version", "code_version", "kind", "config", "metrics", "law", "calibration", "widening", "fit_start",
    "fit_end", "fit_rows", "step_seconds",
)  # fmt: skip
"""Order of a card's keys in its checksum, that of the first cards."""

Forecast = Annotated[Smoothing | Seasonal | Forecaster, Field(discriminator="method")]
"""One of the forecasters."""


class BaselineMetric(MetricCard):
    """One metric: its scale in the history, and its residuals on held-out rows, in units of that scale.

    ``normaliser`` is their mean size, ``lower`` and ``upper`` are the quantiles of the expected band.
    """

    normaliser: float
    lower: float
    upper: float


class BaselineCard(FittedCard):
    """Everything about a fitted baseline. ``widening`` multiplies its threshold where the history was short."""

    model_config = ConfigDict(populate_by_name=True)
    VERSION: ClassVar[int] = 2

    config: BaselineModelConfig
    metrics: tuple[BaselineMetric, ...]
    forecaster: Forecast = Field(alias="law")
    calibration: Calibration
    widening: float
    sha256: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        widths = {len(row) for row in self.forecaster.profile} if isinstance(self.forecaster, Seasonal) else set()
        if widths | {self.forecaster.metrics} != {len(self.metrics)}:
            raise ValueError("the forecast must know as many metrics as the card")
        return self

    def digest(self) -> str:
        """SHA-256 of the card without its own."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"sha256"})
        ordered = {key: content.pop(key) for key in _SIGNED} | content
        return hashlib.sha256(to_json(ordered, inf_nan_mode="null")).hexdigest()


def describe_metrics(
    names: Sequence[str], scaler: Scaler, residual: np.ndarray, band: float
) -> tuple[BaselineMetric, ...]:
    """Each metric's card from the residuals ``[T, K]`` of held-out rows, NaN where missing."""
    cards = []
    for k, metric in enumerate(metric_cards(names, scaler)):
        seen = residual[~np.isnan(residual[:, k]), k].astype(np.float64)
        learnt = bool(seen.size) and not (metric.constant or metric.empty)
        lower, upper = np.quantile(seen, [(1 - band) / 2, (1 + band) / 2]) if learnt else (0.0, 0.0)
        cards.append(
            BaselineMetric(
                **metric.model_dump(),
                normaliser=max(float(np.abs(seen).mean()), _NORMALISER_FLOOR) if learnt else 1.0,
                lower=min(float(lower), 0.0),
                upper=max(float(upper), 0.0),
            )
        )
    return tuple(cards)


def save_card(directory: Path, card: BaselineCard) -> None:
    """Write the card. Raises :class:`~tsdiff_monitor.errors.OutputError` when the directory cannot be written."""
    signed = card.model_copy(update={"sha256": card.digest()})
    with atomic_path(directory / CARD) as part:
        part.write_text(signed.model_dump_json(indent=1, by_alias=True), encoding="utf-8")


def load_card(directory: Path) -> BaselineCard:
    """Read what :func:`save_card` wrote. Raises :class:`ModelError` when there is none, or it cannot be used."""
    card = read_card(directory, BaselineCard)
    if card.sha256 != card.digest():
        raise DamagedModelError(f"{directory / CARD}: damaged, its checksum is not the card's; fit again")
    return card
