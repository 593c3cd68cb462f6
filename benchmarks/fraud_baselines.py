"""The finds of a simple score in the same features: per-group deviations, or sums, with thresholds learned alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["Alarm", "baseline"]

_LEARNED = 0.75
_SUMMED = 7


@dataclass(frozen=True)
class Alarm:
    """An event of a group: its first row, the row that confirmed it, and its last one."""

    group: str
    start: pd.Timestamp
    confirmed: pd.Timestamp
    end: pd.Timestamp


def baseline(
    kind: Literal["deviation", "sum"], frames: Mapping[Group, Frame], split: pd.Timestamp, monitor: MonitorConfig
) -> list[Alarm]:
    """Events of the rows from ``split`` on, each frame holding one series.

    ``deviation``: how many standard deviations of the rows before a value is above their mean; ``sum``: that of the
    newest seven rows. The threshold is that which opened ``alarms_per_week`` events of all groups in the last quarter
    of the history, when scored by the rest, as the product finds its own.
    """
    step = next(iter(frames.values())).step
    quiet = max(monitor.events.resolve_rows, -(-pd.Timedelta(monitor.events.cooldown) // step))
    stretches, watched = [], []
    for group, frame in sorted(frames.items()):
        values = frame.values[:, 0].astype(np.float64)
        row = min(max(frame.row(split), 0), len(frame))
        known = int(row * _LEARNED)
        stretches.append((_score(kind, values[:row], known), known))
        watched.append((group, frame, row, _score(kind, values, row)))
    calibration = PooledCalibration.fit(stretches, confirm_rows=1, quiet_rows=quiet)
    if calibration is None:
        return []
    threshold = calibration.threshold(monitor.alarms_per_week / len(frames), step.total_seconds())
    alarms = []
    for group, frame, row, score in watched:
        high = np.flatnonzero(score[row:] > threshold) + row
        for part in np.split(high, np.flatnonzero(np.diff(high) > quiet) + 1):
            if len(part):
                times = frame.times[part]
                alarms.append(Alarm(group[0][1], times[0], times[0], times[-1]))
    return alarms


def _score(kind: str, values: np.ndarray, known: int) -> np.ndarray:
    """The score of each row ``[T]``, from the first ``known`` ones; NaN without a value or a scale."""
    if kind == "sum":
        return np.asarray(np.convolve(np.nan_to_num(values), np.ones(_SUMMED))[: len(values)])
    history = values[:known][~np.isnan(values[:known])]
    if len(history) < 2 or history.std() == 0:
        return np.full(len(values), np.nan)
    return np.asarray(np.maximum((values - history.mean()) / history.std(), 0.0))
