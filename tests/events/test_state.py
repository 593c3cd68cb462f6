"""The event logic's memory across versions of the program."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores


def new_tracker(state: TrackerState | None = None) -> EventTracker:
    return EventTracker(EventPolicy(), "hosts", (), state or TrackerState())


def advance(tracker: EventTracker, values: list[float], *, first: int = 0) -> list[EventChange]:
    start = pd.Timestamp("2026-03-01T00:00:00Z") + pd.Timedelta(minutes=first)
    times = pd.date_range(start, periods=len(values), freq="min")
    scores = Scores(times, (Series("cpu"),), np.array(values), np.ones((len(values), 1)))
    return tracker.advance(scores, lambda _time, _names: {})


def test_a_state_of_another_version_is_refused() -> None:
    """A state that this program cannot read is an error that says what to do, not a silent fresh start."""
    with pytest.raises(StoreError, match=r"version 99.*storage_path"):
        TrackerState.from_json({**TrackerState().to_json(), "version": 99})
    assert TrackerState.from_json(None) == TrackerState()


def test_a_state_of_the_version_before_is_read() -> None:
    """An event that was open when the program was upgraded goes on."""
    tracker = new_tracker()
    (opened,) = advance(tracker, [2.0, 2.0])
    old = tracker.state.to_json()
    for name in ("flapping", "reason", "adapted_from"):
        del old["incident"][name]
    del old["level"], old["incident"]["peak"]["broad"]
    old["version"] = 1
    again = new_tracker(TrackerState.from_json(json.loads(json.dumps(old))))
    (resolved,) = advance(again, [0.1] * 5, first=2)
    assert (resolved.change, resolved.event.id) == (Change.resolved, opened.event.id)
