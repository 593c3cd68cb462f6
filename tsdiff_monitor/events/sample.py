"""A made-up event, to try out notifiers with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from tsdiff_monitor.events.details import Course, Details, Snapshot
from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange, Severity
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.events.tracker import event_id

__all__ = ["sample_changes"]

_STEP = pd.Timedelta("1min")
_ROWS, _RISEN = 60, 10


def sample_changes(monitor: str, now: pd.Timestamp) -> tuple[EventChange, EventChange]:
    """The opening and the end of an event of ``monitor``, marked ``test``, with a picture; it ends at ``now``."""
    group = (("instance", "test"),)
    last = now.floor("1min")
    start = last - _STEP * (_RISEN - 1)
    opened = Event(
        id=event_id(f"{monitor}/test", group, now),
        monitor=monitor,
        group=group,
        start=start,
        confirmed=start + _STEP,
        last=last,
        end=None,
        peak=3.2,
        peak_time=last,
        severity=Severity.info,
        culprits=(
            Culprit("cpu", 0.7, 93.0, 48.0, 41.0, 55.0, "%"),
            Culprit("requests", 0.3, 410.0, 180.0, 150.0, 205.0, "req/s"),
        ),
        explanation=Explanation(("cpu", "requests"), before=3.2, after=0.6),
    )
    details = Details(_snapshot(last), mark="test")
    resolved = dataclasses.replace(opened, end=last)
    return EventChange(Change.opened, opened, 1, details), EventChange(Change.resolved, resolved, 2, details)


def _snapshot(last: pd.Timestamp) -> Snapshot:
    """Two metrics that leave their bands in the last rows."""
    rows = np.arange(_ROWS)
    risen = rows >= _ROWS - _RISEN
    courses = []
    for name, middle, width, size in (("cpu", 48.0, 7.0, 45.0), ("requests", 180.0, 27.0, 230.0)):
        expected = middle + width / 2 * np.sin(rows / 7)
        actual = expected + np.where(risen, size, width / 3 * np.cos(1.7 * rows))
        parts = (actual, expected, expected - width, expected + width)
        courses.append(Course(name, *(tuple(np.round(part, 3).tolist()) for part in parts)))
    score = tuple(np.where(risen, 3.2, 0.4 + 0.1 * np.sin(rows)).round(3).tolist())
    return Snapshot(last - _STEP * (_ROWS - 1), _STEP, score, tuple(courses))
