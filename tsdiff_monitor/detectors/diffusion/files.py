"""A model on disk: weights in safetensors (the network in ONNX with `runtime: onnx`) beside a JSON card.

Nothing is ever unpickled, and a group's model is read without torch.

The card names the files and their SHA-256 and is replaced last, so it is the commit: a crash at any point leaves either
the old model or the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from pydantic import model_validator

from tsdiff_monitor.detectors.cards import CARD, FittedCard, StoredCard, read_card
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.diffusion.tensor_files import State, checked, holds, linked, packed, unpacked
from tsdiff_monitor.errors import DamagedModelError
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.atomic_files import atomic_path

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ModelCard",
    "PlanCard",
    "load_graph",
    "load_network",
    "load_stored",
    "restored",
    "save_model",
]

_PLANS = {"stream", "batch"}


class PlanCard(StrictModel):
    """A scoring plan's constants: expected residual per metric, and what is known of its normal scores."""

    normaliser: tuple[float, ...]
    calibration: Calibration | PooledCalibration


_Stored = TypeVar("_Stored", bound=StoredCard)
_Network = TypeVar("_Network", bound="nn.Module")


class ModelCard(FittedCard, StoredCard):
    """Everything about a fitted model but its weights."""

    config: DiffusionModelConfig
    plans: Mapping[str, PlanCard]
    typical: float
    steps: int
    network: str = ""
    network_sha256: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if set(self.plans) != _PLANS:
            raise ValueError(f"plans must be {', '.join(sorted(_PLANS))}")
        if any(len(plan.normaliser) != len(self.metrics) for plan in self.plans.values()):
            raise ValueError("a plan must have one normaliser per metric")
        return self


def save_model(
    directory: Path, card: StoredCard, state: State, network: bytes | State | None = None, *, shared: Path | None = None
) -> None:
    """Write weights and, in a file of its own, the ``network`` if given, then the card that names them.

    The network is an ONNX graph or, where it is not the group's own, its weights; where the folder ``shared`` holds
    these already they are linked, and take no space again. What no card names any more is removed. Raises
    :class:`~tsdiff_monitor.errors.OutputError` when the directory cannot be written.
    """
    data = packed(state)
    digest = hashlib.sha256(data).hexdigest()
    weights = f"weights-{digest[:16]}.safetensors"
    update, files = {"weights": weights, "weights_sha256": digest}, {weights: data}
    same: Path | None = None
    if network is not None:
        content, kind = (network, "onnx") if isinstance(network, bytes) else (packed(network), "safetensors")
        digest = hashlib.sha256(content).hexdigest()
        name = f"network-{digest[:16]}.{kind}"
        update |= {"network": name, "network_sha256": digest}
        files[name] = content
        same = None if shared is None else shared / f"weights-{digest[:16]}.safetensors"
    named = card.model_copy(update=update)
    for name, content in files.items():
        if name.startswith("network-") and holds(directory / name, content):
            continue  # of two names of one file neither can replace the other
        with atomic_path(directory / name) as part:
            if same is None or not name.startswith("network-") or not linked(same, part, content):
                part.write_bytes(content)
    with atomic_path(directory / CARD) as part:
        part.write_text(named.model_dump_json(indent=1), encoding="utf-8")
    with suppress(OSError):  # the model is stored; what is left over costs space only, and the next save tries again
        # the last ones a killed run left
        for stale in (*directory.glob("weights-*"), *directory.glob("network-*"), *directory.glob(".*.part*")):
            if stale.name not in files:
                stale.unlink(missing_ok=True)


def load_stored(directory: Path, kind: type[_Stored]) -> tuple[_Stored, dict[str, np.ndarray]]:
    """A card of one ``kind`` and its weights. Raises :class:`ModelError` when there is none, or it cannot be used."""
    card = read_card(directory, kind)
    return card, unpacked(directory / card.weights, card.weights_sha256)


def restored(build: Callable[[], _Network], state: Mapping[str, np.ndarray], directory: Path) -> _Network:
    """The network that ``build`` makes, with the weights ``state`` from ``directory``, ready to score.

    Nothing random is drawn. Raises :class:`DamagedModelError` when the weights are those of another network.
    """
    import torch

    from tsdiff_monitor.diffusion.randomness import not_drawn

    with not_drawn():
        network = build()
    try:
        network.load_state_dict({name: torch.tensor(values) for name, values in state.items()})
    except RuntimeError:
        raise DamagedModelError(f"{directory}: the weights are not those of the model card; fit again") from None
    network.eval()
    return network


def load_graph(directory: Path, card: ModelCard) -> bytes:
    """The ONNX graph that the card names. Raises :class:`DamagedModelError`."""
    return checked(directory / card.network, card.network_sha256)


def load_network(directory: Path, card: ModelCard) -> dict[str, np.ndarray]:
    """The weights of the network that the card names. Raises :class:`DamagedModelError`."""
    return unpacked(directory / card.network, card.network_sha256)
