"""Events that come and go: after a few, one stays open until there is real calm."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, EventChange, ResolveReason
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
BURST = [1.2, 1.2] + [0.1] * 28
"""Half an hour with one short event."""


def run(values: Sequence[float], policy: EventPolicy) -> list[EventChange]:
    times = pd.date_range(T0, periods=len(values), freq="min")
    scores = Scores(times, (Series("cpu"),), np.array(values), np.ones((len(values), 1)))
    return EventTracker(policy, "hosts", (), TrackerState()).advance(scores, lambda _time, _names: {})


def quiet(**keys: object) -> EventPolicy:
    return EventPolicy.model_validate({"update_every": "9d", "adapt_after": None, **keys})


def openings(changes: Sequence[EventChange]) -> int:
    return sum(change.change is Change.opened for change in changes)


def test_after_three_events_one_stays_open() -> None:
    """Ten bursts half an hour apart: three events as ever, then one that lasts to the end of the last burst."""
    changes = run(BURST * 10 + [0.1] * 60, quiet())
    assert openings(changes) == 4
    assert [change.event.flapping for change in changes if change.change is Change.opened] == [False] * 3 + [True]
    last = changes[-1]
    assert (last.change, last.event.reason) == (Change.resolved, ResolveReason.calm)
    calm = T0 + MINUTE * (9 * 30 + 2)  # the last burst's end
    assert (last.event.end, last.event.last) == (calm, calm + pd.Timedelta("1h"))


def test_it_ends_after_an_hour_of_calm() -> None:
    """``flap_window`` / ``flap_limit``; a single calm row less keeps it open."""
    changes = run(BURST * 4 + [0.1] * 32, quiet())
    assert changes[-1].change is Change.opened
    changes = run(BURST * 4 + [0.1] * 33, quiet())
    assert changes[-1].change is Change.resolved


def test_seldom_events_are_not_damped() -> None:
    """Three a day are three events, however long they go on; so are all when there is no limit."""
    changes = run([*BURST, *[0.1] * 90] * 6, quiet())
    assert openings(changes) == 6 and not any(change.event.flapping for change in changes)
    assert openings(run(BURST * 10, quiet(flap_limit=None))) == 10


def test_an_event_that_is_continued_again_and_again_is_damped_too() -> None:
    """Within the cool-down it is the same event, but each end counts."""
    changes = run(([1.2, 1.2] + [0.1] * 6) * 12 + [0.1] * 60, quiet())
    assert openings(changes) == 1
    assert [change.change for change in changes if change.change is Change.resolved] == [Change.resolved] * 4
    assert changes[-1].event.flapping


def test_after_the_calm_it_starts_anew() -> None:
    """An event long after the flapping ends as quickly as any."""
    changes = run(BURST * 6 + [0.1] * 240 + BURST, quiet())
    event = changes[-1].event
    assert not event.flapping and event.end is not None
    assert event.last - event.end == 4 * MINUTE


def test_durations_must_be_positive() -> None:
    """Values that cannot be meant are refused."""
    for key in ("adapt_after", "flap_window"):
        with pytest.raises(ValueError, match="longer than 0s"):
            EventPolicy.model_validate({key: timedelta(0)})
    with pytest.raises(ValueError, match="flap_limit"):
        EventPolicy.model_validate({"flap_limit": 1})
