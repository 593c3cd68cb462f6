"""One network for many groups: fit on all of them together, served to each, and to groups never seen.

::

    network = fit_shared(histories)
    detector = DiffusionDetector.fit(history, base=network)   # scales, codebook and thresholds are the group's own

The two-way network has no parameter that belongs to a metric, so the same weights serve groups of any size
(:mod:`tsdiff_monitor.diffusion.two_way`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from tsdiff_monitor.detectors.cards import StoredCard
from tsdiff_monitor.detectors.diffusion.build import stored_denoiser
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.files import load_stored, save_model
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration

__all__ = ["SharedCard", "SharedNetwork"]


class SharedCard(StoredCard):
    """Everything about a shared network but its weights."""

    config: DiffusionModelConfig
    kind: Literal["shared"]
    groups: int
    """Groups it was fit on."""
    steps: int
    calibrations: Mapping[str, PooledCalibration] = {}
    """Per mode, the thresholds of groups whose history is too short for their own; none where there are too few."""


@dataclass(frozen=True, eq=False)
class SharedNetwork:
    """A denoiser that belongs to no group. Immutable; ``DiffusionDetector.fit(frame, base=...)`` serves it to one."""

    config: DiffusionModelConfig
    card: SharedCard
    imputer: Imputer

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.imputer.network.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    def serves(self, config: DiffusionModelConfig) -> bool:
        """True where a group's model of this configuration can be made from it."""
        own = self.config
        same = (own.window, own.width, own.layers) == (config.window, config.width, config.layers)
        return config.shared and same

    def pooled(self, config: DiffusionModelConfig, confirm_rows: int) -> Mapping[str, PooledCalibration]:
        """Per mode, what all short histories together say of thresholds, where that holds for these settings."""
        same = self.config.score == config.score
        found = self.card.calibrations.items()
        return {mode: one for mode, one in found if same and one.confirm_rows == confirm_rows}

    def check(self, config: DiffusionModelConfig) -> None:
        """Raises :class:`ModelError` when the configuration asks for another network than this one."""
        if not self.serves(config):
            own = self.config
            raise ModelError(
                f"the shared network has window {own.window}, width {own.width} and {own.layers} layers, but the "
                f"configuration has window {config.window}, width {config.width}, {config.layers} layers and `shared: "
                f"{str(config.shared).lower()}`; fit the shared network again, or use its own configuration"
            )

    def save(self, directory: Path) -> None:
        """Write weights and card; a crash in between leaves the previous network in place."""
        save_model(directory, self.card, self.imputer.network.state_dict())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
        card, state = load_stored(directory, SharedCard)
        return cls(card.config, card, stored_denoiser(card.config, 1, state, directory))
