"""Bands: quantiles of conditional samples of the hidden metrics."""

from __future__ import annotations

import numpy as np

from tsdiff_monitor.diffusion.batching import CELLS_AT_ONCE, window_batches, windows_at_once
from tsdiff_monitor.diffusion.denoiser import WindowDenoiser
from tsdiff_monitor.diffusion.masks import metric_mask
from tsdiff_monitor.diffusion.samplers import SAMPLERS, SamplerName

__all__ = ["sample_band"]


def sample_band(
    denoiser: WindowDenoiser,
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
    alone = bool(np.isnan(scaled[:last, ~hidden]).all())
    mask = metric_mask(window, hidden, rows=max(window // 4, read) if alone else None)
    draw = SAMPLERS[sampler]
    sigmas = draw.schedule(sampler_steps)
    ends = np.arange(last - 1, first - 1, -read)
    at_once = windows_at_once(samples * window, K, cells_at_once)
    for batch, windows in window_batches(scaled[:last], ends, window, at_once):
        n = len(batch)
        given = np.repeat(windows, samples, axis=0)  # [B*S, L, K]
        target = np.repeat(mask[None], n * samples, axis=0)
        # The same noise for every window: neighbouring windows then differ by their data only, and bands have no seams.
        generator = np.random.default_rng(seed)

        def denoise(x: np.ndarray, sigma: float, given: np.ndarray = given, target: np.ndarray = target) -> np.ndarray:
            return denoiser.denoise_arrays(x, sigma, given, target)

        def noise(n: int = n, generator: np.random.Generator = generator) -> np.ndarray:
            return np.tile(generator.standard_normal((samples, window, K), dtype=np.float32), (n, 1, 1))

        drawn = draw.sample(denoise, noise() * sigmas[0], sigmas, noise).reshape(n, samples, window, K)[:, :, -read:]
        quantiles = np.quantile(drawn, [0.5, (1 - band) / 2, (1 + band) / 2], axis=1)  # [3, B, read, K]
        for b, end in enumerate(batch):
            begin = max(end - read + 1, first)
            out[:, begin - first : end + 1 - first] = quantiles[:, b, read - (end + 1 - begin) :]
    out[:, :, ~hidden] = np.nan
    return out[0], out[1], out[2]
