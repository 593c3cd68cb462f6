"""A detector's results for a frame's rows. Shapes: T rows, K series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.timeseries.frame import Frame, Group, Series

__all__ = ["Expected", "ScoreBatch", "Scores"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of consecutive rows of one frame.

    ``score[T]`` is dimensionless and >= 0; above 1 is anomalous at the monitor's false-alarm rate; NaN where the row
    held no value at all (no data is never a verdict). ``attribution[T, K]`` is each series' share, >= 0, summing to 1
    per row (all zero where the score is NaN or 0). ``normal`` is the score of an ordinary row of the history, by which
    the event logic measures the drift of scores since then; None: it takes them as they are. ``model`` is the identity
    of the fitted model (:func:`~tsdiff_monitor.detectors.cards.identity`); None where it has none.
    """

    times: pd.DatetimeIndex
    series: tuple[Series, ...]
    score: np.ndarray
    attribution: np.ndarray
    normal: float | None = None
    model: str | None = None

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, eq=False)
class Expected:
    """Expected values of the series, given all the other cells: ``yhat`` with a band, each ``[T, K]``."""

    times: pd.DatetimeIndex
    series: tuple[Series, ...]
    yhat: np.ndarray
    yhat_lower: np.ndarray
    yhat_upper: np.ndarray


@dataclass(frozen=True, eq=False)
class ScoreBatch:
    """Newly scored rows of one group, as writers receive them. ``frame`` covers exactly the rows of ``scores``."""

    monitor: str
    model: str
    scheduler: str
    group: Group
    frame: Frame
    scores: Scores
    expected: Expected | None = None
