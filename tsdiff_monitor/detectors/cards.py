"""Model cards: the JSON file of a stored model, beside its weights where it has any."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import ValidationError

from tsdiff_monitor.detectors.settings import ModelSettings
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, ModelError
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.timeseries.frame import Frame

__all__ = [
    "CARD",
    "Card",
    "FittedCard",
    "MetricCard",
    "StoredCard",
    "identity",
    "metric_cards",
    "read_card",
    "read_raw_card",
    "scaler_of",
]

CARD = "card.json"

_Card = TypeVar("_Card", bound="Card")
_FILES = {"weights", "weights_sha256", "network", "network_sha256", "sha256"}
"""Fields that are filled when a card is stored: they say where a model is, not which one."""


class MetricCard(StrictModel):
    """One metric as the model knows it: its name and its scale in the history."""

    name: str
    location: float
    scale: float
    constant: bool
    empty: bool


def metric_cards(names: Sequence[str], scaler: Scaler) -> tuple[MetricCard, ...]:
    """The metrics with their scales."""
    return tuple(
        MetricCard(
            name=name,
            location=float(scaler.location[k]),
            scale=float(scaler.scale[k]),
            constant=bool(scaler.constant[k]),
            empty=bool(scaler.empty[k]),
        )
        for k, name in enumerate(names)
    )


def scaler_of(metrics: Sequence[MetricCard]) -> Scaler:
    """The scaler that the metrics were described with."""
    return Scaler(
        np.array([m.location for m in metrics]),
        np.array([m.scale for m in metrics]),
        np.array([m.constant for m in metrics], dtype=bool),
        np.array([m.empty for m in metrics], dtype=bool),
    )


class Card(StrictModel):
    """The fields of every card: its version, the code that wrote it, and the kind of model with its configuration."""

    VERSION: ClassVar[int] = 3
    """The ``schema_version`` that this code writes and reads."""

    schema_version: int
    code_version: str
    kind: str
    config: StrictModel


class StoredCard(Card):
    """A card beside weights, which names their file and its SHA-256."""

    weights: str = ""
    weights_sha256: str = ""


class FittedCard(Card):
    """The card of a group's own model: its metrics, and the rows of its fit (times are ISO 8601, UTC)."""

    config: ModelSettings
    metrics: tuple[MetricCard, ...]
    fit_start: str
    fit_end: str
    fit_rows: int
    step_seconds: float

    @classmethod
    def of_fit(cls, frame: Frame, config: ModelSettings, metrics: Sequence[MetricCard], **own: Any) -> Self:
        """The card of a model just fit on ``frame``; ``own`` are the fields that only this kind of card has."""
        return cls(
            schema_version=cls.VERSION,
            code_version=__version__,
            kind=config.type,
            config=config,
            metrics=tuple(metrics),
            fit_start=frame.start.isoformat(),
            fit_end=frame.end.isoformat(),
            fit_rows=len(frame),
            step_seconds=frame.step.total_seconds(),
            **own,
        )

    def scaler(self) -> Scaler:
        """The scaler of the fit."""
        return scaler_of(self.metrics)


def identity(card: StrictModel) -> str:
    """16 hex digits that stand for one fit: equal before and after it is stored, different for any other fit."""
    return hashlib.sha256(card.model_dump_json(exclude=_FILES).encode()).hexdigest()[:16]


def read_raw_card(directory: Path) -> Any:
    """The content of a card's file, unchecked. Raises :class:`ModelError` when there is none, or it is no JSON."""
    path = directory / CARD
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{directory}: there is no model here; fit one first") from None
    except (OSError, ValueError) as error:
        raise DamagedModelError(f"{path}: damaged, not a readable card ({error}); fit again") from None


def read_card(directory: Path, kind: type[_Card]) -> _Card:
    """A card of one ``kind``. Raises :class:`ModelError` when there is none, or it cannot be used."""
    path, raw = directory / CARD, read_raw_card(directory)
    stored, known = raw.get("schema_version") if isinstance(raw, dict) else None, kind.VERSION
    if stored != known:
        raise CardVersionError(f"{path}: card schema version {stored!r}, but this version reads {known}; fit again")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) or e["msg"] for e in error.errors()[:3])
        raise DamagedModelError(f"{path}: damaged, wrong or missing: {fields}; fit again") from None
