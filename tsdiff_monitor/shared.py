"""One network for many groups: fit on all of them together, served to each, and to groups never seen.

::

    network = fit_shared(histories)
    detector = DiffusionDetector.fit(history, base=network)   # scales, codebook and thresholds are the group's own

The two-way network has no parameter that belongs to a metric, so the same weights serve groups of any size
(:mod:`tsdiff_monitor.diffusion.two_way`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch

import tsdiff_monitor
from tsdiff_monitor.cards import CARD_VERSION, StoredCard
from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.diffusion.build import untrained
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.training import TrainingGroup, TrainingPlan, train_shared
from tsdiff_monitor.diffusion.weights import load_stored, save_model
from tsdiff_monitor.errors import DamagedModelError, DataError, ModelError
from tsdiff_monitor.frame import Frame
from tsdiff_monitor.pooled_fit import pooled_calibrations
from tsdiff_monitor.scoring.holdout import split_history
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.scoring.scaling import Scaler

__all__ = ["SharedCard", "SharedNetwork", "fit_shared"]

_CELLS = 64_000_000
"""Cells of all groups together that training holds at most: a quarter of a GiB."""
_EMA = 0.995
"""Batches come from one group at a time: the average of the weights has to reach over many of them."""


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
        """Whether a group's model of this configuration can be made from it."""
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
        imputer = untrained(card.config, 1)
        try:
            imputer.network.load_state_dict(state)
        except RuntimeError:
            raise DamagedModelError(f"{directory}: the weights are not those of the card; fit again") from None
        imputer.network.eval()
        return cls(card.config, card, imputer)


def fit_shared(
    frames: Iterable[Frame],
    config: DiffusionModelConfig | None = None,
    *,
    confirm_rows: int = 2,
    quiet_rows: int = 5,
    cells: int = _CELLS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> SharedNetwork:
    """Fit one network on the histories of many groups, each of any metrics; rows that a group holds out are left out.

    Groups whose histories are too short for thresholds of their own rehearse events, which begin after ``confirm_rows``
    and end after ``quiet_rows``, and have theirs from all of them together (:mod:`tsdiff_monitor.pooled_fit`).

    Histories too short for a window, or without a value, teach nothing and are left out too. Long ones are thinned to
    windows evenly spread over them, so that all together hold ``cells`` at most. Raises :class:`DataError` when nothing
    is left. With the same frames, seed and number of threads the result is the same, unless the time budget ends
    training early.
    """
    config = config or DiffusionModelConfig(shared=True)
    usable = [frame for frame in frames if len(frame) >= config.window and frame.observed.any()]
    if not usable:
        raise DataError(
            f"no group has the {config.window} rows of one window, of which some hold a value; give more history, a "
            "smaller step or a smaller window"
        )
    most = cells // sum(len(frame.series) for frame in usable)
    groups = [_training_group(frame, config.window, most) for frame in usable]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        imputer = untrained(config, 1)
    steps = train_shared(
        imputer,
        groups,
        window=config.window,
        plan=TrainingPlan(steps=config.fit_steps, budget_seconds=config.fit_budget.total_seconds(), ema=_EMA),
        generator=torch.Generator().manual_seed(config.seed),
        progress=progress,
        clock=clock,
    )
    card = SharedCard(
        schema_version=CARD_VERSION,
        code_version=tsdiff_monitor.__version__,
        kind="shared",
        config=config,
        groups=len(groups),
        steps=steps,
    )
    network = SharedNetwork(config, card, imputer)
    found = pooled_calibrations(
        usable, network,
        confirm_rows=confirm_rows, quiet_rows=quiet_rows, each=lambda: progress(steps, config.fit_steps),
    )  # fmt: skip
    return replace(network, card=card.model_copy(update={"calibrations": found}))


def _training_group(frame: Frame, window: int, most: int) -> TrainingGroup:
    """The scaled rows of a group that its model does not hold out, of ``most`` rows at most."""
    scaled = Scaler.fit(frame.values).transform(frame.values)
    starts = split_history(scaled, window).training_starts
    if len(scaled) > most:
        starts = starts[np.linspace(0, len(starts) - 1, min(max(most // window, 1), len(starts))).astype(int)]
        scaled = scaled[starts[:, None] + np.arange(window)].reshape(-1, scaled.shape[1])
        starts = np.arange(len(starts)) * window
    return TrainingGroup(torch.from_numpy(scaled), torch.from_numpy(starts))
