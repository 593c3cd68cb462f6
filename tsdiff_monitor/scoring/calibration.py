"""Calibration: which uncalibrated score corresponds to the false-alarm rate that the user allows.

Scores of neighbouring rows are correlated, so single rows say little about how often an event would open. The maxima
of blocks do: their logarithm is fit with a Gumbel law by probability-weighted moments (Hosking 1990), and the
threshold is the level that a block exceeds as often as the allowed number of events per week.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["WEEK_SECONDS", "Calibration", "confirmed_level"]

_EULER = 0.5772156649015329
WEEK_SECONDS = 604_800.0


def confirmed_level(score: np.ndarray, confirm_rows: int) -> np.ndarray:
    """At each row, the highest threshold at which an event would be confirmed there.

    An event opens when ``confirm_rows`` of the last ``confirm_rows + 1`` rows exceed the threshold; NaN never does.
    """
    x = np.where(np.isnan(score), -np.inf, score)
    if not len(x):
        return x
    padded = np.concatenate([np.full(confirm_rows, -np.inf), x])
    views = np.lib.stride_tricks.sliding_window_view(padded, confirm_rows + 1)
    return np.asarray(np.partition(views, 1, axis=1)[:, 1])


@dataclass(frozen=True)
class Calibration:
    """A Gumbel law of the logarithm of block maxima; ``blocks`` says how many of ``block_rows`` rows it rests on."""

    location: float
    spread: float
    block_rows: int
    blocks: int

    @classmethod
    def fit(cls, stretches: list[np.ndarray], *, confirm_rows: int, block_rows: int = 60) -> Calibration:
        """Learn from stretches of consecutive normal scores ``[T_i]``, none of which the model was trained on."""
        usable = [s for s in stretches if np.isfinite(s).sum() > confirm_rows]
        rows = sum(len(s) for s in usable)
        block_rows = max(min(block_rows, rows // 16), confirm_rows + 1, 1)
        maxima: list[float] = []
        for stretch in usable:
            level = confirmed_level(stretch, confirm_rows)
            for at in range(0, max(len(level) - block_rows // 2, 1), block_rows):
                peak = level[at : at + block_rows].max()
                if np.isfinite(peak) and peak > 0:
                    maxima.append(math.log(peak))
        if not maxima:
            return cls(0.0, 1.0, block_rows, 0)
        x = np.sort(np.array(maxima))
        n = len(x)
        if n < 3:
            return cls(float(x.max()), 0.5, block_rows, n)
        b0 = float(x.mean())
        b1 = float((np.arange(n) / (n - 1) * x).mean())
        spread = max((2 * b1 - b0) / math.log(2), 1e-3)
        return cls(b0 - _EULER * spread, spread, block_rows, n)

    def threshold(self, alarms_per_week: float, step_seconds: float) -> float:
        """The uncalibrated score exceeded by ``alarms_per_week`` blocks in a week of normal data."""
        blocks_per_week = WEEK_SECONDS / (self.block_rows * step_seconds)
        p = min(alarms_per_week / blocks_per_week, 0.5)
        # Few blocks leave the law uncertain: ask for the level of a rarer event (the honest, wide answer).
        p /= 1 + 8 / max(self.blocks, 1)
        return math.exp(self.location - self.spread * math.log(-math.log1p(-p)))
