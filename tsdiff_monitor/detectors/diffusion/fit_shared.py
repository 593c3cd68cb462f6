"""Fit of the one network that many groups share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch

from tsdiff_monitor.detectors.diffusion.build import initialised
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.pooled_calibration import pooled_calibrations
from tsdiff_monitor.detectors.diffusion.shared_network import SharedCard, SharedNetwork
from tsdiff_monitor.diffusion.randomness import seeded
from tsdiff_monitor.diffusion.training import TrainingGroup, TrainingPlan, train_shared
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.scoring.holdout import split_history
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["fit_shared"]

_CELLS = 64_000_000
"""Cells of all groups together that training holds at most: a quarter of a GiB."""
_EMA = 0.995
"""Batches come from one group at a time: the average of the weights has to reach over many of them."""


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
    and end after ``quiet_rows``, and have theirs from all of them together
    (:mod:`tsdiff_monitor.detectors.diffusion.pooled_calibration`).

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
    imputer = initialised(config, 1)
    steps = train_shared(
        imputer,
        groups,
        window=config.window,
        plan=TrainingPlan(steps=config.fit_steps, budget_seconds=config.fit_budget.total_seconds(), ema=_EMA),
        generator=seeded(config.seed),
        progress=progress,
        clock=clock,
    )
    card = SharedCard(
        schema_version=SharedCard.VERSION,
        code_version=__version__,
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
