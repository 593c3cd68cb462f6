"""From a configuration to a trained denoiser: of a group's own, or one that groups share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.diffusion.training import TrainingPlan, train
from tsdiff_monitor.diffusion.two_way import TwoWayNetwork

__all__ = ["trained", "untrained"]

_ADAPTATION_RATE = 5e-4
"""Learning rate at which a shared network is adapted to a group: a quarter of that of a fit."""


def untrained(config: DiffusionModelConfig, metrics: int) -> Imputer:
    """A denoiser for a group of ``metrics``; its first weights come from torch's global generator."""
    network: nn.Module
    if config.is_two_way(metrics):
        # One token per metric: attention over patches of time as well was slower and no better (docs/model.md).
        network = TwoWayNetwork(window=config.window, patch=config.window, width=config.width, layers=config.layers)
    else:
        network = TimeTokenNetwork(metrics, window=config.window, width=config.width, layers=config.layers)
    return Imputer(network, Preconditioner())


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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            imputer = untrained(config, rows.shape[1])
    elif config.adapt_steps == 0:
        return base, 0
    else:
        imputer = copy.deepcopy(base)
        plan = replace(plan, steps=config.adapt_steps, learning_rate=_ADAPTATION_RATE)
    generator = torch.Generator().manual_seed(config.seed)
    steps = train(
        imputer, rows, starts, window=config.window, plan=plan, generator=generator, progress=progress, clock=clock
    )
    return imputer, steps
