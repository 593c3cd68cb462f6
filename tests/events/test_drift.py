from __future__ import annotations

import json

import numpy as np
import pandas as pd

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

START = pd.Timestamp("2026-01-05", tz="UTC")


def told(
    values: np.ndarray, normal: float | None, *, chunk: int = 10**6, policy: EventPolicy | None = None
) -> list[EventChange]:
    """The changes that scores of one row a minute lead to, in chunks between which the state is stored."""
    state, changes = TrackerState(), list[EventChange]()
    for first in range(0, len(values), chunk):
        part = values[first : first + chunk]
        times = pd.date_range(START + pd.Timedelta(minutes=first), periods=len(part), freq="min", unit="ns")
        scores = Scores(times, (Series("cpu"),), part, np.ones((len(part), 1)), normal)
        tracker = EventTracker(
            policy or EventPolicy(), "m", (), TrackerState.from_json(json.loads(json.dumps(state.to_json())))
        )
        changes += tracker.advance(scores, lambda _time, _names: {})
        state = tracker.state
    return changes


def opened(changes: list[EventChange]) -> int:
    return len({change.event.id for change in changes})


def drifted() -> np.ndarray:
    """Two days of calm rows at a quarter of the threshold that creep up to two thirds of it, with a bad minute each
    hour that is 1.8 times the calm ones."""
    calm = np.concatenate([np.full(1440, 0.25), np.linspace(0.25, 0.66, 1440), np.full(2880, 0.66)])
    calm[3::60] *= 1.8
    calm[4::60] *= 1.8
    return calm


def test_drift_does_not_raise_an_alarm_every_hour() -> None:
    """Bad minutes that were no alarm stay none when everything has risen slowly; taken as they are, they would be."""
    policy = EventPolicy(flap_limit=None)
    assert opened(told(drifted(), None, policy=policy)) > 10
    assert opened(told(drifted(), 0.25, policy=policy)) == 0


def test_what_stands_out_of_the_drift_is_told() -> None:
    """An incident that is large against the new level is an event, as it would have been against the old one."""
    values = drifted()
    values[4000:4010] = 4.0
    assert opened(told(values, 0.25)) == 1


def test_an_open_event_is_not_followed() -> None:
    """An incident that lasts for ten hours is not taken for the way things are: the event ends when it does."""
    values = np.concatenate([np.full(720, 0.25), np.full(600, 2.0), np.full(120, 0.25)])
    last = told(values, 0.25)[-1]
    assert last.event.end == START + pd.Timedelta(minutes=1320)


def test_chunks_do_not_matter() -> None:
    """Rows one tick at a time, with the state stored in between, lead to the same changes as all rows at once."""
    values = drifted()[1200:2600]
    values[900:905] = 3.0
    whole = told(values, 0.25)
    assert whole
    for chunk in (1, 7, 60):
        assert told(values, 0.25, chunk=chunk) == whole


def test_another_model_starts_anew() -> None:
    """After a fit scores are of another size: what was followed before says nothing about them."""
    state = TrackerState()
    for normal, value in ((0.25, 0.9), (0.9, 0.9)):
        times = pd.date_range(START, periods=720, freq="min", unit="ns") + pd.Timedelta(days=int(normal > 0.5))
        tracker = EventTracker(EventPolicy(), "m", (), state)
        tracker.advance(
            Scores(times, (Series("cpu"),), np.full(720, value), np.ones((720, 1)), normal), lambda _time, _names: {}
        )
        state = tracker.state
        assert state.drift is not None
        assert state.drift.normal == normal
    assert state.drift is not None
    assert state.drift.factor == 1.0
