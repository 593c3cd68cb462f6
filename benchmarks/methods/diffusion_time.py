"""Diffusion time: the amount of noise that would explain a point. Livernoche et al., "On Diffusion Modeling for Anomaly
Detection", ICLR 2024 (arXiv 2305.18593), the learned, categorical form ("DTE").

A network is shown normal points with noise of a random level and learns to classify the level. A point that is far
from the normal ones looks as if it had much noise: the level expected of it is its anomaly score, from one cheap
evaluation.

Two things differ from the paper. Noise is added without shrinking the points (σ from ``SIGMA_MIN`` to ``SIGMA_MAX``,
even in ln σ; the points themselves have deviation 1): variance-preserving noise would leave standardised points looking
the same at every level. And the network is shown a point's direction and the logarithm of its radius, because incidents
lie tens of deviations out, where what a network makes of the bare coordinates is arbitrary (docs/model.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from tsdiff_monitor.diffusion.randomness import drawn_from, seeded

__all__ = ["DiffusionTime"]

BINS = 7
SIGMA_MIN, SIGMA_MAX = 0.05, 100.0
_HIDDEN = (256, 512, 256)
_BATCH = 128


@dataclass(frozen=True, eq=False)
class DiffusionTime:
    """A classifier of the noise level in points ``[N, D]``: an MLP 256-512-256 over 7 bins of ln σ."""

    network: nn.Module

    @classmethod
    def fit(
        cls,
        embeddings: np.ndarray,
        *,
        generator: torch.Generator,
        steps: int = 500,
        learning_rate: float = 1e-3,
    ) -> Self:
        """Learn from normal ``embeddings[N, D]``, each column of deviation 1; rows with a NaN are left out.

        Raises :class:`ValueError` when no row is complete.
        """
        complete = embeddings[~np.isnan(embeddings).any(1)]
        if not len(complete):
            raise ValueError("no embedding without a missing value to learn from; fill the gaps first")
        points = torch.from_numpy(complete.astype(np.float32))
        with drawn_from(seeded(int(torch.randint(0, 2**31, (), generator=generator)))):
            network = _NoiseClassifier(points.shape[1])
        optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
        for _ in range(steps):
            chosen = points[torch.randint(0, len(points), (_BATCH,), generator=generator)]
            share = torch.rand(_BATCH, generator=generator)
            sigma = SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** share
            noise = torch.randn(chosen.shape, generator=generator)
            loss = nn.functional.cross_entropy(network(chosen + sigma[:, None] * noise), (share * BINS).long())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        return cls(network.eval())

    @torch.no_grad()
    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """The expected bin ``[N]`` of ``embeddings[N, D]``, from 0 to 6; NaN for a row with a NaN."""
        complete = ~np.isnan(embeddings).any(1)
        out = np.full(len(embeddings), np.nan)
        points: Tensor = torch.from_numpy(embeddings[complete].astype(np.float32))
        chance = self.network(points).softmax(1)
        out[complete] = (chance @ torch.arange(BINS, dtype=chance.dtype)).numpy()
        return out


class _NoiseClassifier(nn.Module):
    """Points ``[N, D]`` -> logits of their noise level's bin ``[N, BINS]``."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        widths = (inputs + 1, *_HIDDEN)
        hidden = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(_HIDDEN[-1], BINS))

    def forward(self, points: Tensor) -> Tensor:
        radius = 1 + points.square().mean(1, keepdim=True)
        logits: Tensor = self.layers(torch.cat([points / radius.sqrt(), radius.log()], 1))
        return logits
