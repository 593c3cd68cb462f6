"""Denoisers from a configuration: initialised, restored from stored weights, or trained on a group."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.files import restored
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.diffusion.randomness import drawn_from, seeded
from tsdiff_monitor.diffusion.training import TrainingPlan, train
from tsdiff_monitor.diffusion.two_way import TwoWayNetwork

__all__ = ["initialised", "stored_denoiser", "trained"]

_ADAPTATION_RATE = 5e-4
"""Learning rate at which a shared network is adapted to a group: a quarter of that of a fit."""


def initialised(config: DiffusionModelConfig, metrics: int) -> Imputer:
    """A denoiser for a group of ``metrics`` with its first weights, which follow from the configuration's seed."""
    with drawn_from(seeded(config.seed)):
        return Imputer(_network(config, metrics), Preconditioner())


def stored_denoiser(
    config: DiffusionModelConfig, metrics: int, state: Mapping[str, np.ndarray], directory: Path
) -> Imputer:
    """A denoiser for a group of ``metrics`` with the weights ``state``, read from ``directory``.

    Raises :class:`~tsdiff_monitor.errors.DamagedModelError` when they are those of another network.
    """
    return Imputer(restored(lambda: _network(config, metrics), state, directory), Preconditioner())


def trained(
    config: DiffusionModelConfig,
    base: Imputer | None,
    rows: Float[Tensor, "T K"],
    starts: Int[Tensor, " N"],
    *,
    progress: Callable[[int, int], None],
    clock: Callable[[], float],
) -> tuple[Imputer, int]:
    """A group's denoiser and the steps it was trained on the group's windows of scaled ``rows`` from ``starts`` on.

    With ``base``, that one as it is, or a copy of it adapted in ``adapt_steps``.
    """
    plan = TrainingPlan(steps=config.fit_steps, budget_seconds=config.fit_budget.total_seconds())
    if base is None:
        imputer = initialised(config, rows.shape[1])
    elif config.adapt_steps == 0:
        return base, 0
    else:
        imputer = copy.deepcopy(base)
        plan = replace(plan, steps=config.adapt_steps, learning_rate=_ADAPTATION_RATE)
    steps = train(
        imputer, rows, starts,
        window=config.window, plan=plan, generator=seeded(config.seed), progress=progress, clock=clock,
    )  # fmt: skip
    return imputer, steps


def _network(config: DiffusionModelConfig, metrics: int) -> nn.Module:
    if config.is_two_way(metrics):
        # One token per metric: attention over patches of time as well was slower and no better (docs/model.md).
        return TwoWayNetwork(window=config.window, patch=config.window, width=config.width, layers=config.layers)
    return TimeTokenNetwork(metrics, window=config.window, width=config.width, layers=config.layers)
