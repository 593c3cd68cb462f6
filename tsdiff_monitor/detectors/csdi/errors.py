"""Imputation errors of a frame's rows, at each denoising step that votes.

In ``batch`` mode windows overlap by half and a cell's errors are averaged; in ``stream`` mode every row has a window of
its own, which ends with it. Every window meets the same noise, so that a row's errors depend on its windows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.csdi.network import CsdiNetwork
from tsdiff_monitor.detectors.csdi.procedure import Schedule, impute, reference_masks
from tsdiff_monitor.detectors.csdi.voting import voting_steps
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.diffusion.batching import last_rows, padded, window_batches, windows_at_once
from tsdiff_monitor.diffusion.randomness import seeded

__all__ = ["CsdiModel"]

_CELLS_AT_ONCE = 60_000
"""Bounds a batch: windows x rows x metrics, each of which takes ``channels`` numbers a layer."""


@dataclass(frozen=True, eq=False)
class CsdiModel:
    """The network with its schedule and configuration."""

    config: CsdiReferenceConfig
    network: CsdiNetwork

    @classmethod
    def build(cls, metrics: int, config: CsdiReferenceConfig) -> CsdiModel:
        """A model with first weights, as torch draws them."""
        return cls(config, CsdiNetwork(metrics, window=config.window, channels=config.channels, layers=config.layers))

    @property
    def schedule(self) -> Schedule:
        """The noise schedule."""
        return Schedule.quadratic(self.config.steps)

    @torch.no_grad()
    def errors(self, scaled: np.ndarray, *, first: int, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        """Mean squared errors ``[V, T-first, K]`` of rows ``first <= t < T`` by voting step (the last step first), and
        mean signed errors of the last step ``[T-first, K]``; NaN where ``scaled[T, K]`` is.
        """
        config, schedule = self.config, self.schedule
        T, K = scaled.shape
        read = config.window if mode == "batch" else 1
        voting = voting_steps(config.steps, count=config.vote_steps, every=config.vote_every)
        noise = self.noise(K, 1)
        squared = np.zeros((len(voting), max(T - first, 0), K), np.float32)
        signed = np.zeros(squared.shape[1:])
        counts = np.zeros(squared.shape[1:], np.float32)
        for ends, windows in self._windows(scaled, first, read=read, stride=max(read // 2, 1)):
            observed = ~windows.isnan()
            clean = windows.nan_to_num(0.0)
            for mask in reference_masks(config.window, K):
                if not mask[-read:].any():
                    continue  # a single row is hidden by one of the two masks only
                target = observed & mask
                hits = target[:, -read:].numpy()
                for h, imputed in impute(
                    self.network, schedule, windows, target, noise, conditional=config.conditional
                ):
                    if h not in voting:
                        continue
                    error = torch.where(target, clean - imputed, 0.0)[:, -read:].numpy()
                    for end, one, hit in zip(ends, error, hits, strict=True):
                        begin = max(end - read + 1, first)
                        rows, part = slice(begin - first, end + 1 - first), slice(read - (end + 1 - begin), read)
                        squared[voting.index(h), rows] += one[part] ** 2
                        if h == 0:
                            signed[rows] += one[part]
                            counts[rows] += hit[part]
        counts[counts == 0] = np.nan
        return squared / counts, signed / counts

    @torch.no_grad()
    def samples(
        self, scaled: np.ndarray, rows: tuple[int, int], *, read: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Median, lower and upper quantile of samples for ``rows``, each ``[rows, K]``.

        Windows advance by ``read`` rows, each answering for its newest ``read``; the last one ends at ``rows[1] - 1``.
        Missing cells are sampled too.
        """
        first, last = rows
        config, schedule = self.config, self.schedule
        K, S = scaled.shape[1], config.samples
        out = np.full((3, last - first, K), np.nan)
        noise = self.noise(K, S)
        levels = torch.tensor([0.5, (1 - config.band) / 2, (1 + config.band) / 2])
        rows_of_windows = torch.from_numpy(padded(scaled[:last], config.window))
        size = self._at_once(K)
        for end in range(last - 1, first - 1, -read):
            window = rows_of_windows[end : end + config.window]
            drawn = torch.empty(S, config.window, K)
            for at, mask in product(range(0, S, size), reference_masks(config.window, K)):
                part = noise[:, at : at + size]
                windows = window.expand(part.shape[1], -1, -1)
                target = mask.expand(windows.shape)
                for h, imputed in impute(self.network, schedule, windows, target, part, conditional=config.conditional):
                    if h == 0:
                        drawn[at : at + size, mask] = imputed[:, mask]
            begin = max(end - read + 1, first)
            quantiles = torch.quantile(drawn, levels, dim=0).numpy()
            out[:, begin - first : end + 1 - first] = quantiles[:, config.window - (end + 1 - begin) :]
        return out[0], out[1], out[2]

    def noise(self, metrics: int, samples: int) -> Float[Tensor, "_ S L K"]:
        """Every draw one run of denoising takes, from the seed: those of the steps, the start, the forward noise."""
        shape = (self.config.steps + 2, samples, self.config.window, metrics)
        return torch.randn(shape, generator=seeded(self.config.seed))

    def _windows(
        self, scaled: np.ndarray, first: int, *, read: int, stride: int
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Batches of (last row of each window, windows ``[B, L, K]``) that read every row from ``first`` on."""
        ends = last_rows(len(scaled), first=first, read=read, stride=stride)
        for batch, windows in window_batches(scaled, ends, self.config.window, self._at_once(scaled.shape[1])):
            yield batch, torch.from_numpy(windows)

    def _at_once(self, metrics: int) -> int:
        return windows_at_once(self.config.window, metrics, _CELLS_AT_ONCE, least_channels=1)
