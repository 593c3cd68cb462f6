"""A group's model as the daemon would have it, after following the scores of the rows before an incident.

Each incident is replayed by itself, as if the monitor had just started. What the daemon knows by then of the drift of
scores (:mod:`tsdiff_monitor.scoring.drift`) is therefore worked out once, from the unchanged history.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector, Mode
from tsdiff_monitor.rehearsal.baseline_rows import HistorySlice
from tsdiff_monitor.scoring.drift import WINDOW_SECONDS, factors
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["Following"]


@dataclass(frozen=True, eq=False)
class Following:
    """``inner``, whose scores count as if all rows had been watched. ``factors[T]`` is what those of the rows from
    ``start`` on, ``step`` apart, are divided by. ``plain``: it names no expected values, for drawing them takes longer
    than all the rest."""

    inner: Detector
    start: pd.Timestamp
    step: pd.Timedelta
    factors: np.ndarray
    plain: bool = False

    @classmethod
    def over(cls, detector: Detector, history: HistorySlice) -> Self:
        """Follow the rows of the history, and as many before it as are needed."""
        frame, step = history.frame, history.frame.step
        before = round(WINDOW_SECONDS / step.total_seconds())
        first = max(history.first - before, min(detector.window, history.first))
        scores = detector.score(frame, first=first)
        known = np.ones(len(scores))
        if scores.normal is not None:
            known = factors(scores.score, scores.normal, step.total_seconds())
        return cls(detector, frame.start + first * step, step, known)

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @property
    def window(self) -> int:
        return self.inner.window

    @property
    def step_seconds(self) -> float:
        return self.inner.step_seconds

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        scores = self.inner.score(frame, first=first, mode=mode, alarms_per_week=alarms_per_week, rules=rules)
        rows = np.asarray((scores.times - self.start) // self.step)
        divisors = self.factors[np.clip(rows, 0, len(self.factors) - 1)]
        return dataclasses.replace(scores, score=scores.score / divisors, normal=None)

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        if not self.plain:
            return self.inner.expected(frame, names, first=first, last=last, read=read)
        rows = frame.rows(first, len(frame) if last is None else last)
        nothing = np.full((len(rows), len(names)), np.nan)
        return Expected(rows.times, frame.select(names).series, nothing, nothing, nothing)

    def save(self, directory: Path) -> None:
        self.inner.save(directory)
