"""The life of an event: properties that hold for any scores, then each rule of the policy by itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_monitor.events.event import Change, Event, EventChange, Severity
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import KEPT_METRICS, TrackerState
from tsdiff_monitor.events.tracker import CULPRITS, EventTracker, event_id
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
GROUP = (("instance", "web-1"),)
NAN = math.nan


def make_scores(values: Sequence[float], *, metrics: int = 3, first: int = 0, culprit: int | None = None) -> Scores:
    """Rows ``first, first + 1, …`` minutes after T0; attribution varies by row unless ``culprit`` takes it all."""
    score = np.array(values, dtype=np.float32)
    rows = np.arange(first, first + len(score))
    weights = 1.0 + (rows[:, None] * 7 + np.arange(metrics)[None] * 3) % 11
    if culprit is not None:
        weights = np.eye(metrics)[[culprit] * len(score)]
    attribution = weights / weights.sum(axis=1, keepdims=True) * (score > 0)[:, None]
    times = pd.DatetimeIndex([T0 + MINUTE * int(row) for row in rows], tz="UTC")
    return Scores(times, tuple(Series(f"m{k}") for k in range(metrics)), score, attribution)


def part(scores: Scores, first: int, last: int) -> Scores:
    chunk = slice(first, last)
    return Scores(scores.times[chunk], scores.series, scores.score[chunk], scores.attribution[chunk])


class Explainer:
    """A pure function of time and names that refuses times outside the chunk being advanced."""

    def __init__(self, scores: Scores) -> None:
        self.times = set(scores.times)
        self.calls: list[pd.Timestamp] = []

    def __call__(self, time: pd.Timestamp, names: Sequence[str]) -> Mapping[str, tuple[float, float, float, float]]:
        assert time in self.times, "asked about a row whose data may be gone"
        self.calls.append(time)
        base = (time - T0) / MINUTE
        return dict.fromkeys(names, (base, base - 1, base - 2, NAN))


def advance(tracker: EventTracker, scores: Scores) -> list[EventChange]:
    return tracker.advance(scores, Explainer(scores))


def new_tracker(policy: EventPolicy | None = None, state: TrackerState | None = None) -> EventTracker:
    return EventTracker(policy or EventPolicy(), "hosts", GROUP, state or TrackerState())


def run(values: Sequence[float], policy: EventPolicy | None = None, **options: int) -> list[EventChange]:
    return advance(new_tracker(policy), make_scores(values, **options))


def minute(time: pd.Timestamp | None) -> int | None:
    return None if time is None else round((time - T0) / MINUTE)


score_lists = st.lists(
    st.sampled_from([0.0, 0.3, 0.5, 0.6, 0.79, 0.8, 0.9, 1.0, 1.01, 1.3, 1.6, 2.5, 4.5, NAN]), min_size=1, max_size=90
)
minutes = st.integers(0, 12).map(lambda n: timedelta(minutes=n))
policies = st.builds(
    EventPolicy,
    confirm_rows=st.integers(1, 4),
    resolve_rows=st.integers(1, 4),
    resolve_below=st.sampled_from([0.4, 0.8, 1.0]),
    trace_back=st.sampled_from([0.2, 0.5, 1.0]),
    trace_back_rows=st.integers(0, 6),
    update_every=minutes,
    cooldown=minutes,
    adapt_after=st.sampled_from([None, timedelta(minutes=4), timedelta(minutes=9)]),
    flap_limit=st.sampled_from([None, 2, 3]),
    flap_window=st.sampled_from([timedelta(minutes=20), timedelta(hours=1)]),
)


@given(score_lists, policies, st.lists(st.integers(0, 90), max_size=8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_chunks_do_not_matter(values: list[float], policy: EventPolicy, cuts: list[int], single_rows: bool) -> None:
    """Any split into chunks, the state saved as JSON between them, gives the same changes and the same state."""
    scores = make_scores(values)
    whole = new_tracker(policy)
    expected = advance(whole, scores)
    edges = range(len(values) + 1) if single_rows else sorted({0, len(values), *(c for c in cuts if c < len(values))})
    state, found = TrackerState(), []
    for first, last in zip(edges, list(edges)[1:], strict=False):
        tracker = new_tracker(policy, state)
        found += advance(tracker, part(scores, first, last))
        state = TrackerState.from_json(json.loads(json.dumps(tracker.state.to_json(), sort_keys=True)))
    assert found == expected
    assert state == whole.state


@given(score_lists, policies)
@settings(max_examples=200, deadline=None)
def test_every_life_is_well_formed(values: list[float], policy: EventPolicy) -> None:
    """One event is open at a time, its changes are numbered without gaps, and start <= confirmed <= end."""
    latest: dict[str, EventChange] = {}
    current: Event | None = None
    for change in run(values, policy):
        event, before = change.event, latest.get(change.event.id)
        assert event.start <= event.confirmed <= event.last
        assert event.start <= event.peak_time <= event.last
        assert (event.confirmed - event.start) / MINUTE <= policy.trace_back_rows
        assert event.peak > 1
        assert (event.end is None) == (change.change is not Change.resolved)
        assert event.end is None or event.confirmed < event.end <= event.last
        assert (event.reason is None) == (event.end is None)
        assert event.adapted_from is None or event.confirmed <= event.adapted_from < event.last
        assert sum(culprit.attribution for culprit in event.culprits) <= 1 + 1e-9
        if before is None:
            assert (change.change, change.sequence) == (Change.opened, 1)
            assert current is None or (current.end is not None and current.last < event.start)
        else:
            assert change.change is not Change.opened
            assert change.sequence == before.sequence + 1
            assert (event.start, event.confirmed) == (before.event.start, before.event.confirmed)
            assert event.severity.rank >= before.event.severity.rank
            assert event.peak >= before.event.peak
            assert event.last > before.event.last
            assert current is not None and current.id == event.id
        current, latest[event.id] = event, change


@given(score_lists, policies, st.integers(0, 90))
@settings(max_examples=50, deadline=None)
def test_replayed_rows_change_nothing(values: list[float], policy: EventPolicy, overlap: int) -> None:
    """Rows that were seen before are ignored: scoring a span again neither doubles nor moves an event."""
    scores = make_scores(values)
    tracker = new_tracker(policy)
    advance(tracker, scores)
    before = tracker.state
    assert advance(tracker, part(scores, min(overlap, len(values)), len(values))) == []
    assert tracker.state == before


def test_two_of_three_high_rows_open_an_event() -> None:
    """An event opens at the second row above 1 out of three, and its start is the first of them."""
    (opened,) = run([0.1, 2.0, 0.1, 2.0])
    assert opened.change is Change.opened
    assert (minute(opened.event.start), minute(opened.event.confirmed)) == (1, 3)
    assert run([0.1, 2.0, 0.1, 0.1, 2.0]) == []


def test_a_score_of_exactly_one_is_normal() -> None:
    """Only a score above 1 is anomalous."""
    assert run([1.0] * 50) == []


def test_start_is_traced_back_through_the_rise() -> None:
    """The start is the first row of the contiguous rise above ``trace_back``, gaps in it tolerated."""
    (opened,) = run([0.2, NAN, 0.75, NAN, 0.8, 1.2, 1.4])
    assert (minute(opened.event.start), minute(opened.event.confirmed)) == (2, 6)


def test_start_is_traced_back_a_bounded_number_of_rows() -> None:
    """A long simmering rise is cut off at ``trace_back_rows``, on a row that holds a score."""
    (opened,) = run([0.8] * 40 + [2.0, 2.0], EventPolicy(trace_back_rows=3))
    assert (minute(opened.event.start), minute(opened.event.confirmed)) == (38, 41)
    (opened,) = run([0.8] * 38 + [NAN, 0.8, 2.0, 2.0], EventPolicy(trace_back_rows=3))
    assert minute(opened.event.start) == 39


def test_missing_rows_give_no_verdict() -> None:
    """A row without data neither confirms an event nor counts as calm nor interrupts the calm."""
    assert run([2.0, NAN, NAN, 2.0]) == []
    quiet = [0.1, NAN, 0.1, NAN, NAN, 0.1, 0.1]
    opened, resolved = run([2.0, 2.0, *quiet, 0.1])
    assert (opened.change, resolved.change) == (Change.opened, Change.resolved)
    assert minute(resolved.event.end) == 2 and minute(resolved.event.last) == 9
    assert [change.change for change in run([2.0, 2.0, *quiet])] == [Change.opened]


def test_resolves_after_a_calm_run_and_ends_at_its_first_row() -> None:
    """``resolve_rows`` consecutive calm rows resolve the event; an interruption starts the count again."""
    changes = run([2.0, 2.0, 0.1, 0.1, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert [change.change for change in changes] == [Change.opened, Change.resolved]
    assert minute(changes[-1].event.end) == 7 and minute(changes[-1].event.last) == 11


def test_updates_are_spaced_out() -> None:
    """A lasting event is reported again every ``update_every``, counted from its newest change."""
    changes = run([1.2] * 26, EventPolicy(update_every=timedelta(minutes=10)))
    # row 15 makes it longer than 15 rows: a warning, reported at once; the next follows ten minutes later
    assert [(c.change, minute(c.event.last)) for c in changes] == [
        (Change.opened, 1),
        (Change.updated, 11),
        (Change.updated, 15),
        (Change.updated, 25),
    ]


def test_rising_severity_is_reported_at_once() -> None:
    """An event that becomes worse is reported in the row that makes it worse, and never becomes harmless again."""
    changes = run([1.1, 1.1, 1.2, 4.5, 1.1, 1.1])
    assert [(c.change, c.event.severity, minute(c.event.last)) for c in changes] == [
        (Change.opened, Severity.info, 1),
        (Change.updated, Severity.critical, 3),
    ]


def test_a_rise_within_the_cooldown_continues_the_event() -> None:
    """Within ``cooldown`` after its end the same event is open again, with the next sequence and no end."""
    values = [2.0, 2.0] + [0.1] * 9 + [2.0, 2.0] + [0.1] * 5
    changes = run(values, EventPolicy(cooldown=timedelta(minutes=10)))
    assert [(c.change, c.sequence, minute(c.event.end)) for c in changes] == [
        (Change.opened, 1, None),
        (Change.resolved, 2, 2),
        (Change.updated, 3, None),
        (Change.resolved, 4, 13),
    ]
    assert len({c.event.id for c in changes}) == 1
    apart = run(values, EventPolicy(cooldown=timedelta(minutes=8)))
    assert [c.change for c in apart] == [Change.opened, Change.resolved] * 2
    assert len({c.event.id for c in apart}) == 2


def test_culprits_are_the_metrics_that_the_score_came_from() -> None:
    """Attribution is summed over the event's rows weighted by their squared score; at most five metrics are named."""
    scores = make_scores([0.1, 1.5, 4.5, 0.1], metrics=8)
    opened = advance(new_tracker(), scores)[0]
    squares = scores.score[1:3] ** 2
    weight = squares @ scores.attribution[1:3] / squares.sum()
    ranked = sorted(range(8), key=lambda k: (-weight[k], k))[:CULPRITS]
    assert [culprit.metric for culprit in opened.event.culprits] == [f"m{k}" for k in ranked]
    assert [culprit.attribution for culprit in opened.event.culprits] == pytest.approx(weight[ranked])


def test_culprits_show_actual_and_expected_at_the_peak() -> None:
    """The values belong to the peak row; where there is no number there is None, which JSON can carry."""
    opened = run([1.1, 3.0])[0]
    (first, *_) = opened.event.culprits
    assert (first.actual, first.expected, first.expected_lower, first.expected_upper) == (1.0, 0.0, -1.0, None)
    json.dumps(opened.to_json(), allow_nan=False)


def test_metrics_that_cannot_be_explained_are_still_named() -> None:
    """An explanation may leave metrics out: the culprit stays, without values."""
    (opened,) = new_tracker().advance(make_scores([2.0, 2.0]), lambda time, names: {})
    assert opened.event.culprits and all(culprit.actual is None for culprit in opened.event.culprits)


def test_calm_rows_are_never_explained() -> None:
    """Explaining costs model time: it is asked once per reported peak, and never for calm rows."""
    scores = make_scores([0.9] * 30 + [2.0, 2.5, 2.2] + [0.1] * 20)
    explainer = Explainer(scores)
    new_tracker().advance(scores, explainer)
    assert [minute(time) for time in explainer.calls] == [31]


def test_a_failing_explanation_leaves_the_state_alone() -> None:
    """An explanation that raises changes nothing: the same rows can be advanced again."""

    def broken(time: pd.Timestamp, names: Sequence[str]) -> Mapping[str, tuple[float, float, float, float]]:
        raise RuntimeError("no model")

    scores = make_scores([0.1, 2.0, 2.0])
    tracker = new_tracker()
    with pytest.raises(RuntimeError, match="no model"):
        tracker.advance(scores, broken)
    assert tracker.state == TrackerState()
    assert len(advance(tracker, scores)) == 1


def test_ids_are_the_same_for_the_same_data() -> None:
    """The id depends on monitor, group and start alone, not on the unit of the time."""
    start = pd.Timestamp("2026-03-01T00:01:00Z")
    name = event_id("hosts", GROUP, start)
    assert len(name) == 16 and int(name, 16) >= 0
    assert name == event_id("hosts", GROUP, start.as_unit("s")) == run([0.1, 2.0, 2.0])[0].event.id
    others = {event_id("other", GROUP, start), event_id("hosts", (), start), event_id("hosts", GROUP, start + MINUTE)}
    assert len(others | {name}) == 4


def test_state_of_a_wide_calm_group_is_tiny() -> None:
    """A calm group of 900 metrics saves one time; even simmering or open it stays within a few kilobytes."""
    calm = new_tracker()
    advance(calm, make_scores([0.9] * 20 + [0.1], metrics=900))
    assert len(json.dumps(calm.state.to_json())) < 100
    simmering = new_tracker()
    advance(simmering, make_scores([0.9] * 40, metrics=900))
    assert len(simmering.state.rise) == 15
    assert len(json.dumps(simmering.state.to_json())) < 8_000
    active = new_tracker()
    for row in range(300):  # a different culprit in every row
        advance(active, make_scores([1.2], metrics=900, first=row, culprit=row))
    assert active.state.incident is not None and len(active.state.incident.weights) <= 128
    assert len(json.dumps(active.state.to_json())) < 8_000


def test_all_metrics_of_a_small_group_are_explained() -> None:
    """Up to twelve metrics every culprit comes with its values, even one without a share in the peak row."""
    scores = make_scores([1.5] * 15 + [5.0, 1.5], metrics=KEPT_METRICS)
    scores.attribution[:15] = np.eye(KEPT_METRICS)[0]
    scores.attribution[15:] = np.eye(KEPT_METRICS)[1]
    last = advance(new_tracker(), scores)[-1]
    assert [culprit.metric for culprit in last.event.culprits] == ["m0", "m1"]
    assert all(culprit.actual == 15.0 for culprit in last.event.culprits)


def test_infinite_scores_open_events_that_json_can_carry() -> None:
    """A score that overflowed is still an anomaly, and is reported as a large number."""
    (opened,) = run([math.inf, math.inf])
    assert opened.event.peak == 1e6
    json.dumps(opened.to_json(), allow_nan=False)


def test_a_policy_changed_between_runs_keeps_the_event() -> None:
    """After a reload with another policy, the saved state is taken up as it is."""
    scores = make_scores([0.7] * 20 + [2.0, 0.1, 0.1, 0.1, 2.0, 2.0])
    tracker = new_tracker(EventPolicy(confirm_rows=4))
    advance(tracker, part(scores, 0, 22))
    tracker = new_tracker(EventPolicy(confirm_rows=1, trace_back_rows=0), tracker.state)
    (opened,) = advance(tracker, part(scores, 22, 26))
    assert (minute(opened.event.start), minute(opened.event.confirmed)) == (24, 24)


def test_changes_survive_json() -> None:
    """A change read back from its JSON form is the same change."""
    for change in run([2.0, 2.0] + [0.1] * 5):
        assert EventChange.from_json(json.loads(json.dumps(change.to_json()))) == change
