"""Random target masks ``[B, L, K]`` of training: which cells of a window are hidden and imputed. True = hidden.

Those of scoring, which follow no chance, are in :mod:`tsdiff_monitor.diffusion.masks`.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

__all__ = ["random_gaps", "random_masks"]


def random_masks(batch: int, window: int, metrics: int, generator: torch.Generator) -> Bool[Tensor, "B L K"]:
    """A mixture of all kinds, one per window: gratings of random width and phase, forecasts, metric masks, cells.

    Training on the mixture lets one network answer every question asked of it later. No window (of 2 rows or more) is
    left without a target.
    """
    rows = torch.arange(window)
    widths = (2 ** torch.randint(0, 5, (batch, 1), generator=generator)).clamp(max=max(window // 2, 1))
    phase = torch.randint(0, 32, (batch, 1), generator=generator)
    grating = (((rows + phase) // widths) % 2 == 0)[:, :, None]
    newest = torch.randint(1, max(window // 4, 2) + 1, (batch, 1), generator=generator)
    forecast = (rows >= window - newest)[:, :, None]
    share = torch.rand(batch, 1, 1, generator=generator) * 0.8 + 0.1
    hidden = torch.rand(batch, 1, metrics, generator=generator) < share
    hidden[torch.arange(batch), 0, torch.randint(0, metrics, (batch,), generator=generator)] = True
    span = torch.where(torch.rand(batch, 1, generator=generator) < 0.5, window, newest)
    columns = hidden & (rows >= window - span)[:, :, None]
    cells = torch.rand(batch, window, metrics, generator=generator) < share
    cells = torch.where(cells.flatten(1).any(1)[:, None, None], cells, grating)
    kind = torch.multinomial(torch.tensor([0.4, 0.2, 0.3, 0.1]), batch, replacement=True, generator=generator)
    kinds = torch.stack([m.expand(batch, window, metrics) for m in (grating, forecast, columns, cells)])
    return kinds[kind, torch.arange(batch)]


def random_gaps(
    batch: int, window: int, metrics: int, share: float, generator: torch.Generator
) -> Bool[Tensor, "B L K"]:
    """Cells to treat as missing in training: in ``share`` of the windows a run of rows, in as many some metrics.

    Real gaps come in these two shapes; a network that has met them scores through them.
    """
    rows = torch.arange(window)
    first = torch.randint(0, window, (batch, 1), generator=generator)
    length = torch.randint(1, window + 1, (batch, 1), generator=generator)
    run = (rows >= (first - window // 2)) & (rows < first - window // 2 + length)
    run &= torch.rand(batch, 1, generator=generator) < share
    lost = torch.rand(batch, metrics, generator=generator) < torch.rand(batch, 1, generator=generator) * 0.5
    lost &= torch.rand(batch, 1, generator=generator) < share
    return run[:, :, None] | lost[:, None, :]
