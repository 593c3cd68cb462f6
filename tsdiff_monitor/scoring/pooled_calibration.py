"""Calibration of many groups together: the number of events that each score would have opened in a rehearsal.

A group with a few weeks of history cannot show which score it exceeds once in years, but a thousand groups together
can. Their scores are rehearsed on the newest part of each history by what was learned from the rest
(:mod:`tsdiff_monitor.detectors.diffusion.pooled_calibration`), and at every threshold the events that would have opened
are counted: runs of exceedances that begin after so many quiet rows (runs declustering: Coles 2001, section 5.3.2).
Events rather than rows or maxima, for two reasons: an incident in the history, however high and long, counts as the one
event that it is, and one that is under way when the rehearsal begins does not count at all.

Beyond the last few events the excess of the logarithm over them is taken as exponential; with its mean s estimated
from n events, the excess y of the next one follows the predictive distribution (1 + y / ns)^-n, which is wider the
fewer there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.scoring.calibration import WEEK_SECONDS, confirmed_level

__all__ = ["PooledCalibration"]

_GRID = 0.01
"""Distance of thresholds that differ, in the logarithm: scores that differ by rounding alone are one."""
_TAIL = 10
"""Events that the tail is learned from, at most, unless nearly all of them have the same peak."""
_LEAST = 3
"""With fewer events nothing can be said."""
_KEPT = 64
"""Points of the curve that are kept."""


@dataclass(frozen=True)
class PooledCalibration:
    """Uncalibrated scores, ``levels``, and how many events they open in a row of one group, ``rates``, on the mean.

    Levels rise and rates fall. Beyond the last level the excess of the logarithm has the mean ``spread``, known from
    ``events`` events. ``groups`` were rehearsed with ``confirm_rows``.
    """

    levels: tuple[float, ...]
    rates: tuple[float, ...]
    spread: float
    events: int
    groups: int
    confirm_rows: int

    @classmethod
    def fit(
        cls, stretches: Iterable[tuple[np.ndarray, int]], *, confirm_rows: int, quiet_rows: int
    ) -> PooledCalibration | None:
        """Learn from one stretch of consecutive scores ``[T]`` per group, and its first row that counts.

        Rows before that only show which events are under way. An event begins after ``quiet_rows`` rows in which none
        could be confirmed. None where all stretches together hold too few events to say anything.
        """
        before, peaks, rows, groups = [np.zeros(0)], [np.zeros(0)], 0, 0
        for scores, first in stretches:
            groups, rows = groups + 1, rows + len(scores) - first
            with np.errstate(divide="ignore"):
                level = np.log(np.maximum(confirmed_level(scores, confirm_rows), 0.0))
            earlier = _highest_before(level, quiet_rows)
            opens = np.flatnonzero(level > earlier)
            opens = opens[opens >= first]
            before.append(earlier[opens])
            peaks.append(level[opens])
        curve = _curve(np.concatenate(before), np.concatenate(peaks))
        if curve is None:
            return None
        levels, events = curve
        tail = int(np.argmax(events <= _TAIL))
        if events[tail] < _LEAST:
            tail = max(tail - 1, 0)  # there is nothing between many and hardly any
        count = int(events[tail])
        if count < _LEAST:
            return None
        spread = max(float(events[tail:].sum()) * _GRID / count, _GRID)
        levels, events = _thinned(levels, events, tail)
        return cls(tuple(np.exp(levels).tolist()), tuple((events / rows).tolist()), spread, count, groups, confirm_rows)

    @property
    def normal(self) -> None:
        """Scores are taken as they are: short histories say little about where ordinary ones lie."""

    def threshold(self, alarms_per_week: float, step_seconds: float) -> float:
        """The uncalibrated score at which ``alarms_per_week`` events open in a week of one group, on the mean."""
        wanted = alarms_per_week * step_seconds / WEEK_SECONDS
        enough = np.flatnonzero(np.array(self.rates) <= wanted)
        if len(enough):
            return self.levels[int(enough[0])]
        n = self.events
        # Held where an exponential still computes: beyond it no score is.
        excess = n * self.spread * math.expm1(min(math.log(self.rates[-1] / wanted) / n, 50.0))
        return self.levels[-1] * math.exp(min(excess, 500.0))


def _highest_before(level: np.ndarray, rows: int) -> np.ndarray:
    """The highest of the ``rows`` levels before each row."""
    if not len(level) or rows < 1:
        return np.full(len(level), -np.inf)
    padded = np.concatenate([np.full(rows, -np.inf), level[:-1]])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, rows).max(1))


def _curve(before: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Thresholds on a grid and the most events that one as high or higher opens; None where none opens.

    A row opens an event at every threshold from the highest level ``before`` it up to its own, the ``peak``. Where a
    threshold is so low that events never end there are fewer of them again: those are left out.
    """
    known = np.isfinite(peaks)
    before, peaks = np.sort(before[known]), np.sort(peaks[known])
    if not len(peaks):
        return None
    # The last step lies above all peaks, so that the curve ends at no event.
    grid = np.arange(math.floor(peaks[0] / _GRID), math.floor(peaks[-1] / _GRID) + 2) * _GRID
    opened = np.searchsorted(before, grid, "right") - np.searchsorted(peaks, grid, "right")
    most = np.maximum.accumulate(opened[::-1])[::-1]
    lowest = int(np.flatnonzero(most == most[0])[-1])
    return grid[lowest:], most[lowest:]


def _thinned(levels: np.ndarray, events: np.ndarray, tail: int) -> tuple[np.ndarray, np.ndarray]:
    """A level for each number of events up to that of row ``tail``, or for some of them with even ratios.

    It is the middle of those that open so many: where scores come in jumps it keeps its distance from both.
    """
    changes = np.flatnonzero(np.diff(events, prepend=events[0] + 1))
    levels = np.interp((changes + np.append(changes[1:], len(levels)) - 1) / 2, np.arange(len(levels)), levels)
    events, kept = events[changes], np.arange(int(np.searchsorted(changes, tail, "right")))
    if len(kept) > _KEPT:
        ratios = np.log(events[kept])
        wanted = np.linspace(ratios[0], ratios[-1], _KEPT)
        kept = kept[np.unique(np.searchsorted(-ratios, -wanted))]
    return levels[kept], events[kept]
