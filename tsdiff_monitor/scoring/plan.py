"""Scoring plans: the cells to hide, the noise level, and the rows of a window to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.diffusion.masks import forecast_mask, gratings, metric_mask

__all__ = ["ScoringPlan", "batch_plan", "forecast_plan", "stream_plan"]


@dataclass(frozen=True, eq=False)
class ScoringPlan:
    """Each window is denoised once per mask (bool ``[L, K]``) from noise ``sigma``; the newest ``read`` rows count.

    Windows advance by ``stride`` rows. With ``read == stride == 1`` a row's score depends on its own window only: the
    same whether rows arrive one by one or all at once. A ``blind`` plan starts from noise alone, with nothing of the
    hidden value in it. A row's score takes in ``scales``: moving means over so many rows, which end at the row or,
    where the future is known, are ``centred`` on it.
    """

    name: str
    masks: tuple[np.ndarray, ...]
    sigma: float
    read: int
    stride: int
    blind: bool = False
    scales: tuple[int, ...] = (1,)
    centred: bool = False


def stream_plan(window: int, metrics: int, *, sigma: float, seed: int) -> ScoringPlan:
    """For live data: half of the metrics, then the other half, hidden over the newest rows; the newest is scored.

    One metric alone has no other half: its newest rows are forecast.
    """
    hidden = np.zeros(metrics, dtype=bool)
    hidden[np.random.default_rng(seed).permutation(metrics)[: (metrics + 1) // 2]] = True
    halves = (hidden, ~hidden) if metrics > 1 else (hidden,)
    masks = tuple(metric_mask(window, half, rows=_hidden_rows(window)) for half in halves)
    return ScoringPlan("stream", masks, sigma, read=1, stride=1)


def batch_plan(window: int, metrics: int, *, sigma: float) -> ScoringPlan:
    """For recorded data: complementary gratings at two widths, with context from both sides."""
    masks = gratings(window, metrics, window // 4) + gratings(window, metrics, max(window // 16, 1))
    return ScoringPlan("batch", masks, sigma, read=window, stride=window // 2, scales=(1, 5, 15, 61), centred=True)


def forecast_plan(window: int, metrics: int, *, sigma: float) -> ScoringPlan:
    """The plan that forecasts the newest row, from noise and the rows before the newest few.

    As many rows are hidden as in the stream plan, so that an incident does not become its own expectation at once.
    """
    mask = forecast_mask(window, metrics, _hidden_rows(window))
    return ScoringPlan("forecast", (mask,), sigma, read=1, stride=1, blind=True)


def _hidden_rows(window: int) -> int:
    """Number of newest rows that are hidden to score the newest."""
    return max(window // 8, 1)
