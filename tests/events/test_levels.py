"""Events that stay: a new level becomes normal instead of an alarm without end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, EventChange, ResolveReason
from tsdiff_monitor.events.level_shift import CLEAR
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
POLICY = EventPolicy(adapt_after=timedelta(minutes=40), update_every=timedelta(days=9))


class Watch:
    """A tracker that is given scores row by row, one a minute, its state saved as JSON in between."""

    def __init__(self, policy: EventPolicy = POLICY) -> None:
        self.policy = policy
        self._saved: Mapping[str, object] | None = None
        self.rows = 0

    def see(self, values: Sequence[float]) -> list[EventChange]:
        changes = []
        for value in values:
            tracker = EventTracker(self.policy, "hosts", (), TrackerState.from_json(self._saved))
            times = pd.DatetimeIndex([T0 + MINUTE * self.rows])
            scores = Scores(times, (Series("cpu"),), np.array([value]), np.array([[float(value > 0)]]))
            changes += tracker.advance(scores, lambda _time, _names: {})
            self._saved = json.loads(json.dumps(tracker.state.to_json()))
            self.rows += 1
        return changes

    @property
    def level(self) -> float | None:
        level = TrackerState.from_json(self._saved).level
        return None if level is None else level.normal


def minute(time: pd.Timestamp | None) -> int | None:
    return None if time is None else round((time - T0) / MINUTE)


def steady(rows: int, level: float = 3.0) -> list[float]:
    """Scores that go up and down by a sixth."""
    return [level * (1 + (k % 3 - 1) / 6) for k in range(rows)]


def adapted() -> Watch:
    """A watch whose group has lived at scores around 3 for long enough."""
    watch = Watch()
    assert watch.see(steady(50))[-1].event.reason is ResolveReason.adapted
    return watch


def test_a_steady_level_ends_its_event() -> None:
    """Confirmed in row 1, it is resolved ``adapt_after`` later; the rows of that time count as normal."""
    *_, last = Watch().see(steady(60))
    assert (last.change, last.event.reason, minute(last.event.end)) == (Change.resolved, ResolveReason.adapted, 41)
    assert minute(last.event.adapted_from) == 1
    assert EventChange.from_json(json.loads(json.dumps(last.to_json()))) == last


def test_the_way_to_the_level_is_no_part_of_it() -> None:
    """Scores far above those that follow put the adaptation off by their quarter, and are not learned."""
    *_, last = Watch().see([30.0, 50.0, 30.0, *steady(70)])
    assert last.event.reason is ResolveReason.adapted
    assert (minute(last.event.adapted_from), minute(last.event.end)) == (11, 51)


@pytest.mark.parametrize(
    "values",
    [
        [2.0 * 1.04**k for k in range(200)],  # worse and worse
        ([4.0] * 2 + [0.1] * 4) * 40,  # in and out
        [3.0] * 15 + [float("nan")] * 300,  # no data
    ],
)
def test_what_is_not_steady_is_not_normal(values: list[float]) -> None:
    """An event that grows, comes and goes, or of which nothing is known any more, stays open."""
    assert all(change.change is not Change.resolved for change in Watch().see(values))


def test_never_means_never() -> None:
    """``adapt_after: null``: an event lasts as long as its scores do."""
    watch = Watch(EventPolicy(adapt_after=None))
    assert all(change.change is not Change.resolved for change in watch.see(steady(2000)))


def test_an_adapted_level_is_no_event_again() -> None:
    """However long the scores stay as they are, nothing opens; nothing does either at half as much again."""
    watch = adapted()
    assert watch.see(steady(3000)) == []
    assert watch.see([3.5 * CLEAR * 0.99] * 200) == []


def test_a_rise_above_the_level_is_another_event() -> None:
    """At once, with a new id, and with a score that says how far above the level it is."""
    watch = adapted()
    (opened,) = watch.see([3.5 * CLEAR * 1.2] * 2)
    assert opened.change is Change.opened and opened.sequence == 1
    assert opened.event.peak == pytest.approx(1.2)
    (resolved,) = watch.see(steady(30))
    assert (resolved.event.id, resolved.event.reason) == (opened.event.id, ResolveReason.calm)


def test_a_second_level_is_adapted_too() -> None:
    """Above the first one; from then on it is the higher one that counts."""
    watch = adapted()
    changes = watch.see(steady(60, level=12.0))
    assert changes[0].change is Change.opened and changes[-1].event.reason is ResolveReason.adapted
    assert watch.level == pytest.approx(14.0)


def test_the_level_is_forgotten_when_scores_are_calm() -> None:
    """Learned by a fit, or gone: after ``resolve_rows`` calm rows and ``cooldown``, 1 is the limit again."""
    watch = adapted()
    watch.see([0.2] * 11)
    assert watch.level is not None
    watch.see([0.2])
    assert watch.level is None
    (opened,) = watch.see([2.0, 2.0])
    assert opened.change is Change.opened and opened.event.peak == 2.0


def test_the_level_follows_scores_down() -> None:
    """A fit that learned part of it lowers what is normal, within ``adapt_after``; it never rises by itself."""
    watch = adapted()
    watch.see(steady(60, level=1.2))
    assert watch.level == pytest.approx(1.4)
    watch.see(steady(120, level=1.8))
    assert watch.level == pytest.approx(1.4)
    watch.see(steady(60, level=0.8))
    assert watch.level is None


def test_switched_off_it_holds_no_level() -> None:
    """With ``adapt_after: null`` after a reload, what was adapted is an event again."""
    watch = adapted()
    watch.policy = EventPolicy(adapt_after=None)
    assert [change.change for change in watch.see(steady(2))] == [Change.opened]
