"""Calibration: the uncalibrated score that corresponds to the false-alarm rate that the user allows.

Scores of neighbouring rows are correlated, so single rows say little about how often an event would open. Two things
are learned from held-out normal rows, both of *confirmed* scores (the event logic's own rule):

- how often episodes begin that exceed a moderate level: runs of exceedances a few quiet rows apart (runs declustering:
  Coles 2001, section 5.3.2). A moderate level is exceeded often enough to be counted;
- how fast that becomes rarer with the level. The logarithm of the maxima of blocks follows a Gumbel distribution, whose
  spread comes from the quartiles of the maxima (with exceedances of a Gumbel variable being exponential in the tail).
  Up to a quarter of all blocks may hold incidents without moving them: history is mostly normal, but never entirely.

The threshold is the moderate level, raised until episodes are as rare as the allowed number of events per week.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.scoring.drift import factors

__all__ = ["WEEK_SECONDS", "Calibration", "confirmed_level"]

WEEK_SECONDS = 604_800.0
_QUARTILES = (0.25, 0.75)
_GUMBEL_RANGE = -math.log(-math.log(_QUARTILES[1])) + math.log(-math.log(_QUARTILES[0]))
"""Distance of the quartiles of a Gumbel distribution with a spread of 1."""
_BLOCK_ROWS = 60
_FEW_BLOCKS = 8
"""With as many blocks the spread is taken as twice what they say."""
_EPISODE_ROWS = 500
"""The moderate level is exceeded by one episode in so many rows, and by five in all."""
_LEAST_EPISODES = 5
_QUIET_ROWS = 15
"""Rows between two episodes: about what resolving and the cool-down of an event take."""
_SHARES = np.geomspace(3e-4, 0.2, 60)
"""Shares of rows above the levels that are tried."""


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
    """Episodes above the logarithm ``level`` begin ``rate`` times a row, and e times more rarely per ``spread`` above.

    ``normal`` is the uncalibrated score of an ordinary row, by which drift is measured, or None where scores are not
    followed.
    """

    level: float
    rate: float
    spread: float
    normal: float | None = None

    @classmethod
    def fit(cls, stretches: list[np.ndarray], *, confirm_rows: int, follow_seconds: float | None = None) -> Calibration:
        """Learn from stretches of consecutive normal scores ``[T_i]``, none of which the model was trained on.

        ``follow_seconds``: scores of rows so far apart will count relative to their :class:`Drift`; None: as they are.
        """
        usable = [np.asarray(s, dtype=np.float64) for s in stretches if np.isfinite(s).sum() > confirm_rows]
        normal = None
        if usable and follow_seconds is not None:
            middle = float(np.nanmedian(np.concatenate(usable)))
            if middle > 0:
                normal = middle
                usable = [s / factors(s, normal, follow_seconds) for s in usable]
        with np.errstate(divide="ignore"):
            levels = [np.log(np.maximum(confirmed_level(s, confirm_rows), 0.0)) for s in usable]
        rows = sum(len(s) for s in levels)
        block_rows = max(min(_BLOCK_ROWS, rows // 16), confirm_rows + 1, 1)
        maxima = _block_maxima(levels, block_rows)
        if len(maxima) < 3:
            level, spread = (float(maxima.max()), 0.5) if len(maxima) else (0.0, 1.0)
            return cls(level, 1 / max(rows, 1), spread, normal)
        low, high = np.quantile(maxima, _QUARTILES)
        spread = max(float(high - low) / _GUMBEL_RANGE, 1e-3)
        wanted = max(rows / _EPISODE_ROWS, _LEAST_EPISODES)
        level, peaks = _moderate(levels, wanted)
        if len(peaks) < wanted:
            # Scores that are nearly always the same have no quartiles to speak of. What there is of a tail is taken as
            # exponential: too few alarms rather than one for every burst.
            spread = max(spread, float(peaks.mean()) - level if len(peaks) else 0.0)
        # With few blocks the tail is uncertain: widen the threshold (docs/model.md).
        spread *= 1 + (_FEW_BLOCKS / len(maxima)) ** 2
        return cls(level, max(len(peaks), 1) / rows, spread, normal)

    def threshold(self, alarms_per_week: float, step_seconds: float) -> float:
        """The uncalibrated score that ``alarms_per_week`` episodes exceed in a week of normal data."""
        per_week = self.rate * WEEK_SECONDS / step_seconds
        return math.exp(self.level + self.spread * math.log(per_week / alarms_per_week))


def _block_maxima(levels: list[np.ndarray], block_rows: int) -> np.ndarray:
    """The highest finite level of each block, sorted; of a last one that is not full, if it is half of one."""
    maxima = [
        level[at : at + block_rows].max()
        for level in levels
        for at in range(0, max(len(level) - block_rows // 2, 1), block_rows)
    ]
    found = np.sort(np.array(maxima, dtype=np.float64))
    return found[np.isfinite(found)]


def _moderate(levels: list[np.ndarray], wanted: float) -> tuple[float, np.ndarray]:
    """The highest level tried that ``wanted`` episodes exceed, or the most there are; and the peak of each."""
    known = np.concatenate(levels)
    known = known[np.isfinite(known)]
    level, peaks = float(known.max()), np.zeros(0)
    for candidate in np.quantile(known, 1 - _SHARES).tolist():
        found = np.concatenate([_peaks(one, candidate) for one in levels])
        if len(found) > len(peaks):
            level, peaks = candidate, found
        if len(peaks) >= wanted:
            break
    return level, peaks


def _peaks(levels: np.ndarray, level: float) -> np.ndarray:
    """The highest of each run of levels above ``level``, runs with few quiet rows in between being one."""
    at = np.flatnonzero(levels > level)
    if not len(at):
        return np.zeros(0)
    first = np.concatenate([[0], np.flatnonzero(np.diff(at) > _QUIET_ROWS) + 1])
    return np.asarray(np.maximum.reduceat(levels[at], first))
