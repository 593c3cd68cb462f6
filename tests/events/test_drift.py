from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.scoring.drift import Drift
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

START = pd.Timestamp("2026-01-05", tz="UTC")


def changes_of(
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
    assert opened(changes_of(drifted(), None, policy=policy)) > 10
    assert opened(changes_of(drifted(), 0.25, policy=policy)) == 0


def test_an_incident_above_the_drift_is_an_event() -> None:
    """An incident that is large against the new level is an event, as it would have been against the old one."""
    values = drifted()
    values[4000:4010] = 4.0
    assert opened(changes_of(values, 0.25)) == 1


def test_an_open_event_is_not_followed() -> None:
    """An incident that lasts for ten hours is not taken for the way things are: the event ends when it does."""
    values = np.concatenate([np.full(720, 0.25), np.full(600, 2.0), np.full(120, 0.25)])
    last = changes_of(values, 0.25)[-1]
    assert last.event.end == START + pd.Timedelta(minutes=1320)


def test_chunks_do_not_matter() -> None:
    """Rows one tick at a time, with the state stored in between, lead to the same changes as all rows at once."""
    values = drifted()[1200:2600]
    values[900:905] = 3.0
    whole = changes_of(values, 0.25)
    assert whole
    for chunk in (1, 7, 60):
        assert changes_of(values, 0.25, chunk=chunk) == whole


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


def advanced(state: TrackerState, part: int, normal: float, model: str | None) -> Drift:
    """The drift after two more hours of rows that score three times what an ordinary row does."""
    times = pd.date_range(START + part * pd.Timedelta("2h"), periods=120, freq="min", unit="ns")
    scores = Scores(times, (Series("cpu"),), np.full(120, 3 * normal), np.ones((120, 1)), normal, model)
    tracker = EventTracker(EventPolicy(), "m", (), state)
    tracker.advance(scores, lambda _time, _names: {})
    assert tracker.state.drift is not None
    return tracker.state.drift


def test_another_threshold_of_the_same_model_keeps_the_drift() -> None:
    """A group's part of the allowance may change: what was followed goes on in its units. A fit starts anew."""
    before = advanced(TrackerState(), 0, 0.25, "fit-1")
    after = advanced(TrackerState(drift=before), 1, 0.2, "fit-1")
    assert (after.normal, after.factor) == (0.2, pytest.approx(before.factor))
    assert before.factor == pytest.approx(3**0.5)
    assert [piece for piece, _ in after.pieces[:7]] == [piece for piece, _ in before.pieces]
    assert [level for _, level in after.pieces] == pytest.approx([0.6] * 15)
    assert len(advanced(TrackerState(drift=after), 2, 0.2, "fit-2").pieces) == 7


def test_a_drift_stored_without_an_identity_is_adopted() -> None:
    """A state of an older version goes on with a model of the same thresholds, and from then on knows which it is."""
    old = TrackerState(drift=advanced(TrackerState(), 0, 0.25, None)).to_json()
    del old["drift"]["model"]
    kept = advanced(TrackerState.from_json(old), 1, 0.25, "fit-1")
    assert (kept.model, len(kept.pieces)) == ("fit-1", 15)
    assert len(advanced(TrackerState(drift=kept), 2, 0.3, "fit-1").pieces) == 23
    assert len(advanced(TrackerState.from_json(old), 1, 0.3, "fit-1").pieces) == 7
