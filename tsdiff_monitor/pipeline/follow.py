"""The event logic over a tick's scores: what each group's new rows change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.pipeline.annotate import with_units
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.score import Scored
from tsdiff_monitor.scoring.rules import flagged, outside, unjudged
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["Followed", "follow"]

Excluded = Callable[[Group, pd.DatetimeIndex], np.ndarray]
"""Boolean ``[T]``: which of the times are not to be judged."""


@dataclass(frozen=True, eq=False)
class Followed:
    """One group's new rows with the scores that count, the changes they lead to, and the event logic's new memory."""

    scored: Scored
    rows: Frame
    scores: Scores
    changes: Sequence[EventChange]
    tracker: Mapping[str, Any]

    @property
    def group(self) -> Group:
        """The group."""
        return self.scored.task.group

    @property
    def last(self) -> pd.Timestamp:
        """The newest row scored."""
        return self.rows.end - self.rows.step


def follow(
    monitor: Monitor, scored: Scored, tracker: Mapping[str, Any] | None, excluded: Excluded, detector: Detector
) -> Followed:
    """Take a group's scores into its events. ``tracker``: the memory that its last rows left, as JSON.

    Rows outside of the data's range are anomalous; ``excluded`` ones are not judged. Raises ``StoreError`` for a memory
    of another version.
    """
    task = scored.task
    rows = task.frame.rows(task.first, len(task.frame))
    scores = flagged(scored.scores, outside(monitor.ranges(rows.series), rows.values))
    scores = unjudged(scores, excluded(task.group, scores.times))
    state = EventTracker(monitor.config.events, monitor.name, task.group, TrackerState.from_json(tracker))

    def explain(at: pd.Timestamp, names: Sequence[str]) -> dict[str, tuple[float, float, float, float]]:
        return _explained(detector, task.frame, at, names)

    units = monitor.units(rows.series)
    changes = [with_units(change, units) for change in state.advance(scores, explain)]
    return Followed(scored, rows, scores, changes, state.state.to_json())


def _explained(
    detector: Detector, frame: Frame, at: pd.Timestamp, names: Sequence[str]
) -> dict[str, tuple[float, float, float, float]]:
    """Actual value, expected value and band of the named metrics at one row, from that row and those before it."""
    row = frame.row(at)
    past = frame.rows(max(row + 1 - detector.window, 0), row + 1)
    expected = detector.expected(past, names, first=len(past) - 1, read=1)
    column = {name: k for k, name in enumerate(frame.names)}
    return {
        one.name: (
            float(frame.values[row, column[one.name]]),
            float(expected.yhat[0, k]),
            float(expected.yhat_lower[0, k]),
            float(expected.yhat_upper[0, k]),
        )
        for k, one in enumerate(expected.series)
    }
