"""A model on disk: weights in safetensors beside a JSON card. Nothing is ever unpickled.

The card names the weights file and its SHA-256 and is replaced last, so it is the commit: a crash at any point leaves
either the old model or the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError, model_validator

import tsdiff_monitor
from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, ModelError
from tsdiff_monitor.frame import Frame
from tsdiff_monitor.outputs import atomic_path
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.settings_model import StrictModel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CARD_VERSION", "MetricCard", "ModelCard", "PlanCard", "load_card", "load_model", "save_model"]

CARD_VERSION = 2
_CARD = "card.json"
_PLANS = {"stream", "batch"}


class MetricCard(StrictModel):
    """One metric as the model knows it: its name and its scale in the history."""

    name: str
    location: float
    scale: float
    constant: bool
    empty: bool


class PlanCard(StrictModel):
    """A scoring plan's constants: expected residual per metric, and the law of its scores' block maxima."""

    normaliser: tuple[float, ...]
    calibration: Calibration


class ModelCard(StrictModel):
    """Everything about a fitted model but its weights."""

    schema_version: int
    code_version: str
    kind: str
    config: DiffusionModelConfig
    metrics: tuple[MetricCard, ...]
    plans: Mapping[str, PlanCard]
    typical: float
    fit_start: str
    fit_end: str
    fit_rows: int
    step_seconds: float
    steps: int
    weights: str = ""
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.plans) != _PLANS:
            raise ValueError(f"plans must be {', '.join(sorted(_PLANS))}")
        if any(len(plan.normaliser) != len(self.metrics) for plan in self.plans.values()):
            raise ValueError("a plan must have one normaliser per metric")
        return self

    @classmethod
    def describe(
        cls,
        frame: Frame,
        scaler: Scaler,
        config: DiffusionModelConfig,
        *,
        plans: Mapping[str, PlanCard],
        steps: int,
        typical: float,
    ) -> Self:
        """The card of a model just fit on ``frame``."""
        return cls(
            schema_version=CARD_VERSION,
            code_version=tsdiff_monitor.__version__,
            kind=config.type,
            config=config,
            metrics=tuple(
                MetricCard(
                    name=name,
                    location=float(scaler.location[k]),
                    scale=float(scaler.scale[k]),
                    constant=bool(scaler.constant[k]),
                    empty=bool(scaler.empty[k]),
                )
                for k, name in enumerate(frame.names)
            ),
            plans=plans,
            typical=typical,
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


def save_model(directory: Path, card: ModelCard, state: Mapping[str, Tensor]) -> None:
    """Write weights, then the card that names them, then remove weights no card names any more.

    Raises :class:`~tsdiff_monitor.errors.OutputError` when the directory cannot be written.
    """
    from safetensors.torch import save

    data = save({name: tensor.contiguous() for name, tensor in state.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights-{digest[:16]}.safetensors"
    named = card.model_copy(update={"weights": weights, "weights_sha256": digest})
    with atomic_path(directory / weights) as part:
        part.write_bytes(data)
    with atomic_path(directory / _CARD) as part:
        part.write_text(named.model_dump_json(indent=1), encoding="utf-8")
    with suppress(OSError):  # the model is stored; what is left over costs space only, and the next save tries again
        for stale in (*directory.glob("weights-*"), *directory.glob(".*.part*")):  # the latter a killed run left
            if stale.name != weights:
                stale.unlink(missing_ok=True)


def load_model(directory: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and the weights. Raises :class:`ModelError` when there is none, or it cannot be used."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = load_card(directory)
    try:
        data = (directory / card.weights).read_bytes()
    except OSError as error:
        raise DamagedModelError(f"{directory / card.weights}: cannot be read ({error.strerror}); fit again") from None
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise DamagedModelError(f"{directory / card.weights}: damaged, its checksum is not the card's; fit again")
    try:
        return card, load(data)
    except SafetensorError as error:
        raise DamagedModelError(f"{directory / card.weights}: damaged ({error}); fit again") from None


def load_card(directory: Path) -> ModelCard:
    """The card alone."""
    import json

    path = directory / _CARD
    try:
        raw: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{directory}: there is no model here; fit one first") from None
    except (OSError, ValueError) as error:
        raise DamagedModelError(f"{path}: damaged, not a readable card ({error}); fit again") from None
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != CARD_VERSION:
        raise CardVersionError(
            f"{path}: card schema version {version!r}, but this version reads {CARD_VERSION}; fit again"
        )
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) or e["msg"] for e in error.errors()[:3])
        raise DamagedModelError(f"{path}: damaged, wrong or missing: {fields}; fit again") from None
