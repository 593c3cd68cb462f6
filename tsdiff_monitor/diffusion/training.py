"""Training the denoiser: denoising score matching on random masks, bounded in steps and in time.

Loss: Karras et al. 2022, equation 8, over the target cells only (CSDI, Tashiro et al. 2021, equation 6).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.precondition import sample_sigma
from tsdiff_monitor.diffusion.training_masks import random_gaps, random_masks

__all__ = ["TrainingGroup", "TrainingPlan", "train", "train_shared"]

_MOST_METRICS = 128
"""Metrics of a batch of shared training at most: attention over more would take memory, and teach no more."""


@dataclass(frozen=True)
class TrainingPlan:
    """Length and settings of a training. ``budget_seconds`` is a guard: it ends training early, at a lower quality."""

    steps: int = 500
    budget_seconds: float = math.inf
    batch: int = 64
    learning_rate: float = 2e-3
    sigma_mean: float = 0.0
    sigma_deviation: float = 1.5
    trim: float = 0.02
    ema: float = 0.98
    gaps: float = 0.1


@dataclass(frozen=True, eq=False)
class TrainingGroup:
    """One group to train on: windows of ``rows`` (NaN = missing) that begin at ``starts``."""

    rows: Float[Tensor, "T K"]
    starts: Int[Tensor, " N"]

    def draw(self, count: int, window: int, generator: torch.Generator) -> Float[Tensor, "B L K"]:
        """``count`` random windows."""
        chosen = self.starts[torch.randint(0, len(self.starts), (count,), generator=generator)]
        return self.rows[chosen[:, None] + torch.arange(window)]


def train(
    imputer: Imputer,
    rows: Float[Tensor, "T K"],
    starts: Int[Tensor, " N"],
    *,
    window: int,
    plan: TrainingPlan,
    generator: torch.Generator,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Train in place on windows of ``rows[T, K]`` (NaN = missing) beginning at ``starts[N]``; gives the steps taken.

    ``progress`` gets (steps done, steps planned) after each step. The share ``trim`` of windows with the largest loss
    is left out of every step, so that incidents in the history are not learned as normal. The network ends with the
    exponential average of its weights.
    """
    group = TrainingGroup(rows, starts)
    return _optimise(imputer, lambda: group.draw(plan.batch, window, generator), plan, generator, progress, clock)


def train_shared(
    imputer: Imputer,
    groups: Sequence[TrainingGroup],
    *,
    window: int,
    plan: TrainingPlan,
    generator: torch.Generator,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Train one network on many groups, each of any number of metrics; otherwise like :func:`train`.

    Each batch comes from one group, all groups being as likely. In half of the batches a random subset of its metrics,
    a quarter at least, stands for a group: so the network meets more groups, and of more sizes, than there are.
    """

    def draw() -> Tensor:
        group = groups[int(torch.randint(0, len(groups), (1,), generator=generator))]
        metrics = kept = group.rows.shape[1]
        windows = group.draw(plan.batch, window, generator)
        if torch.rand(1, generator=generator) < 0.5:
            kept = int(torch.randint(max(metrics // 4, 1), metrics + 1, (1,), generator=generator))
        if (kept := min(kept, _MOST_METRICS)) == metrics:
            return windows
        return windows[:, :, torch.randperm(metrics, generator=generator)[:kept]]

    return _optimise(imputer, draw, plan, generator, progress, clock)


def _optimise(
    imputer: Imputer,
    draw: Callable[[], Tensor],
    plan: TrainingPlan,
    generator: torch.Generator,
    progress: Callable[[int, int], None],
    clock: Callable[[], float],
) -> int:
    """The steps on the batches ``[B, L, K]`` that ``draw`` gives."""
    network = imputer.network
    began = clock()
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=1e-2, betas=(0.9, 0.99))
    warmup = max(min(plan.steps // 10, 50), 1)
    average = [parameter.detach().clone() for parameter in network.parameters()]
    kept = max(round(plan.batch * (1 - plan.trim)), 1)
    network.train()
    done = 0
    for step in range(plan.steps):
        annealed = 0.5 * (1 + math.cos(math.pi * step / plan.steps))
        rate = plan.learning_rate * min((step + 1) / warmup, 1.0) * annealed
        for group in optimiser.param_groups:
            group["lr"] = rate
        windows = draw()
        B, L, K = windows.shape
        windows = windows.masked_fill(random_gaps(B, L, K, plan.gaps, generator), torch.nan)
        target = random_masks(B, L, K, generator) & ~windows.isnan()
        sigma = sample_sigma(plan.batch, mean=plan.sigma_mean, deviation=plan.sigma_deviation, generator=generator)
        clean = windows.nan_to_num(0.0)
        noise = torch.randn(clean.shape, generator=generator)
        denoised = imputer.denoise(clean + sigma[:, None, None] * noise, sigma, windows, target)
        error = ((denoised - clean) ** 2 * target).sum((1, 2)) / target.sum((1, 2)).clamp(min=1)
        loss = (imputer.precondition.loss_weight(sigma) * error).topk(kept, largest=False).values.mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        decay = min(plan.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, parameter in zip(average, network.parameters(), strict=True):
                mean.lerp_(parameter, 1 - decay)
        done = step + 1
        progress(done, plan.steps)
        if clock() - began > plan.budget_seconds:
            break
    with torch.no_grad():
        for parameter, mean in zip(network.parameters(), average, strict=True):
            parameter.copy_(mean)
    network.eval()
    return done
