"""Bands: what the hidden metrics should have been, as quantiles of conditional samples."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.masks import metric_mask
from tsdiff_monitor.diffusion.samplers import SAMPLERS, SamplerName
from tsdiff_monitor.scoring.batching import CELLS_AT_ONCE, windows_at_once

__all__ = ["sample_band"]


@torch.no_grad()
def sample_band(
    imputer: Imputer,
    scaled: np.ndarray,
    hidden: np.ndarray,
    *,
    window: int,
    rows: tuple[int, int],
    read: int,
    samples: int,
    band: float,
    seed: int,
    sampler: SamplerName = "heun",
    sampler_steps: int = 6,
    cells_at_once: int = CELLS_AT_ONCE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, lower and upper quantile of the ``hidden[K]`` metrics in ``rows``, each ``[rows, K]`` (NaN elsewhere).

    The hidden metrics are imputed over whole windows from all the other metrics, so an incident that has lasted for a
    while cannot pass for normal by its own recent past; only where nothing else would be given, they are hidden over a
    quarter of the window and forecast. Windows advance by ``read`` rows, each answering for its newest ``read``; the
    last one ends at ``rows[1] - 1``, so nothing is read from the future of the rows asked for.

    Samples are drawn by ``sampler`` in ``sampler_steps`` noise levels. All noise, that of stochastic samplers too,
    follows from ``seed``: the same rows always have the same band.
    """
    first, last = rows
    K = scaled.shape[1]
    out = np.full((3, last - first, K), np.nan)
    padded = np.concatenate([np.full((window - 1, K), np.nan, np.float32), scaled[:last]])
    alone = bool(np.isnan(scaled[:last, ~hidden]).all())
    mask = metric_mask(window, torch.from_numpy(hidden), rows=max(window // 4, read) if alone else None)
    draw = SAMPLERS[sampler]
    sigmas = draw.schedule(sampler_steps)
    ends = np.arange(last - 1, first - 1, -read)
    at_once = windows_at_once(samples * window, K, cells_at_once)
    for at in range(0, len(ends), at_once):
        batch = ends[at : at + at_once]
        windows = torch.from_numpy(np.stack([padded[end : end + window] for end in batch]))  # [B, L, K]
        n = len(batch)
        given = windows[:, None].expand(n, samples, window, K).reshape(n * samples, window, K)
        # The same noise for every window: neighbouring windows then differ by their data only, and bands have no seams.
        generator = torch.Generator().manual_seed(seed)

        def denoise(x: Tensor, sigma: float, given: Tensor = given) -> Tensor:
            return imputer.denoise(x, torch.full((len(x),), sigma), given, mask)

        def noise(n: int = n, generator: torch.Generator = generator) -> Tensor:
            return torch.randn(samples, window, K, generator=generator).repeat(n, 1, 1)

        drawn = draw.sample(denoise, noise() * sigmas[0], sigmas, noise).view(n, samples, window, K)[:, :, -read:]
        levels = torch.tensor([0.5, (1 - band) / 2, (1 + band) / 2])
        quantiles = torch.quantile(drawn, levels, dim=1).numpy()  # [3, B, read, K]
        for b, end in enumerate(batch):
            begin = max(end - read + 1, first)
            out[:, begin - first : end + 1 - first] = quantiles[:, b, read - (end + 1 - begin) :]
    out[:, :, ~hidden] = np.nan
    return out[0], out[1], out[2]
