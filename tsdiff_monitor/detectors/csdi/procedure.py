"""Diffusion as CSDI trains it and ImDiffusion runs it.

Schedule: CSDI, appendix E.1: quadratic, H = 50 steps, β from 1e-4 to 0.5. Loss: CSDI, equation 6: the noise, over the
hidden cells. Imputation: DDPM's ancestral steps (Ho et al., NeurIPS 2020, algorithm 2). What the network is shown of
the other cells: their values (conditional, CSDI), or those values under the forward noise of the same step
(unconditional; CSDI, section 3.3; ImDiffusion, Chen et al., VLDB 2024 (arXiv 2307.00754), section 4.2), so that it
cannot copy an anomaly from what it is shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tsdiff_monitor.detectors.csdi.network import CsdiNetwork
from tsdiff_monitor.diffusion.masks import gratings
from tsdiff_monitor.diffusion.randomness import drawn_from
from tsdiff_monitor.diffusion.training import TrainingGroup

__all__ = ["Schedule", "impute", "q_sample", "quadratic_betas", "reference_masks", "train"]

_BARS = 10
_BATCH = 16
_LEARNING_RATE = 1e-3
_FIRST_BETA, _LAST_BETA = 1e-4, 0.5


@dataclass(frozen=True, eq=False)
class Schedule:
    """β and ᾱ = ∏(1 - β) of H steps, each ``[H]``."""

    betas: Float[Tensor, " H"]
    kept: Float[Tensor, " H"]

    @classmethod
    def quadratic(cls, steps: int) -> Schedule:
        """CSDI's schedule."""
        betas = quadratic_betas(steps)
        return cls(betas, (1 - betas).cumprod(0))

    def __len__(self) -> int:
        return len(self.betas)


def quadratic_betas(steps: int) -> Float[Tensor, " {steps}"]:
    """β whose square root rises evenly from √1e-4 to √0.5 (CSDI, equation 14)."""
    return torch.linspace(math.sqrt(_FIRST_BETA), math.sqrt(_LAST_BETA), steps) ** 2


def q_sample(
    clean: Float[Tensor, "B L K"], kept: Float[Tensor, " B"], noise: Float[Tensor, "B L K"]
) -> Float[Tensor, "B L K"]:
    """The forward process at once: √ᾱ x + √(1 - ᾱ) ε (Ho et al., equation 4)."""
    share = kept[:, None, None]
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def reference_masks(window: int, metrics: int) -> tuple[Bool[Tensor, "L K"], Bool[Tensor, "L K"]]:
    """ImDiffusion's two complementary gratings of ten bars: every cell is imputed once."""
    first, second = gratings(window, metrics, max(window // _BARS, 1))
    return torch.from_numpy(first), torch.from_numpy(second)


def train(
    network: CsdiNetwork,
    schedule: Schedule,
    rows: Float[Tensor, "T K"],
    starts: Int[Tensor, " N"],
    *,
    window: int,
    steps: int,
    conditional: bool,
    generator: torch.Generator,
    dropout: torch.Generator,
    budget_seconds: float = math.inf,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Train in place on windows of ``rows`` (NaN = missing) beginning at ``starts``; gives the steps taken.

    Adam at 1e-3, a tenth of it from 75 % of the steps on and a hundredth from 90 % (CSDI, appendix E.1). Each window
    has one of the two gratings hidden. Batches, masks and noise come from ``generator``; what the transformers leave
    out, from ``dropout``.
    """
    began = clock()
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-6)
    decay = torch.optim.lr_scheduler.MultiStepLR(optimiser, [int(steps * 0.75), int(steps * 0.9)])
    masks = torch.stack(reference_masks(window, rows.shape[1]))
    group = TrainingGroup(rows, starts)
    network.train()
    done = 0
    while done < steps:
        windows = group.draw(_BATCH, window, generator)
        observed = ~windows.isnan()
        hidden = masks[torch.randint(0, 2, (_BATCH,), generator=generator)]
        target, shown_mask = observed & hidden, observed & ~hidden
        clean = windows.nan_to_num(0.0)
        step = torch.randint(0, len(schedule), (_BATCH,), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        noisy = q_sample(clean, schedule.kept[step], noise)
        with drawn_from(dropout):
            guess = network(noisy, step, clean if conditional else noisy, target, shown_mask)
        loss = ((noise - guess) ** 2 * target).sum() / target.sum().clamp(min=1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        decay.step()
        done += 1
        progress(done, steps)
        if clock() - began > budget_seconds:
            break
    network.eval()
    return done


def impute(
    network: nn.Module,
    schedule: Schedule,
    windows: Float[Tensor, "B L K"],
    target: Bool[Tensor, "B L K"],
    noise: Float[Tensor, "_ *#batch L K"],
    *,
    conditional: bool,
) -> Iterator[tuple[int, Float[Tensor, "B L K"]]]:
    """The ``target`` cells after each denoising step h = H-1 … 0, as (h, values); other cells are without meaning.

    All other cells of ``windows`` are shown, except missing ones. ``noise`` holds the draw of every step, then (at H)
    the sample to start from, then (at H + 1) the forward noise of the cells shown.
    """
    shown_mask = ~windows.isnan() & ~target
    clean = windows.nan_to_num(0.0)
    x = noise[len(schedule)].expand(windows.shape)
    forward = noise[len(schedule) + 1].expand(windows.shape)
    for h in reversed(range(len(schedule))):
        step = torch.full((len(windows),), h)
        shown = clean if conditional else q_sample(clean, schedule.kept[step], forward)
        guess = network(x, step, shown, target, shown_mask)
        beta, kept = schedule.betas[h], schedule.kept[h]
        x = (x - beta / (1 - kept).sqrt() * guess) / (1 - beta).sqrt()
        if h > 0:
            x = x + (beta * (1 - schedule.kept[h - 1]) / (1 - kept)).sqrt() * noise[h]
        yield h, x
