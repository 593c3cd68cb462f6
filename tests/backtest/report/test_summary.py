"""The rules by which events and labelled incidents are judged."""

from __future__ import annotations

import pytest

from tsdiff_monitor.backtest.judging import GRACE_STEPS
from tsdiff_monitor.backtest.report.replay import Replay
from tsdiff_monitor.backtest.report.summary import assess, summarise

KEYS = [
    "groups",
    "rows",
    "events",
    "labelled_incidents",
    "detected_incidents",
    "false_events",
    "false_events_per_week",
    "median_delay_seconds",
    "culprit_in_top3",
]
WEB, DB = (("service", "web"),), (("service", "db"),)


def test_counts_of_a_labelled_replay(labelled: Replay) -> None:
    """Every number of a replay with hits, a miss and a false event is right."""
    summary = summarise(labelled)
    assert list(summary.to_json()) == KEYS
    assert summary.groups == 2
    assert summary.rows == 1200 - 30
    assert (summary.events, summary.labelled_incidents, summary.detected_incidents) == (3, 3, 2)
    assert summary.false_events == 1
    assert summary.false_events_per_week == pytest.approx(7 * 24 / 10)
    assert summary.median_delay_seconds == (5 * 60 + 12 * 60) / 2
    assert summary.culprit_in_top3 == 1


def test_without_labels_nothing_is_claimed(make) -> None:
    """A source without labels gives null for the six judged numbers, and its events stay unjudged."""
    replay = make.replay(make.group(events=[(100, 120)]))
    summary = summarise(replay)
    assert [summary.to_json()[key] for key in KEYS[3:]] == [None] * 6
    assert (summary.groups, summary.rows, summary.events) == (1, 400, 1)
    assert set(assess(replay).verdicts.values()) == {"unjudged"}


def test_labels_that_name_no_incident_make_every_event_false(make) -> None:
    """Known to be quiet is not the same as unlabelled."""
    summary = summarise(make.replay(make.group(events=[(100, 120)], incidents=[])))
    assert (summary.labelled_incidents, summary.detected_incidents, summary.false_events) == (0, 0, 1)
    assert summary.median_delay_seconds is None
    assert summary.culprit_in_top3 is None


@pytest.mark.parametrize(
    ("event", "found"),
    [
        ((120, 130), True),
        ((150 + GRACE_STEPS - 1, 180), True),
        ((150 + GRACE_STEPS, 180), False),
        ((80, 100), False),
        ((80, 101), True),
    ],
)
def test_an_event_meets_an_incident_up_to_the_grace(make, event: tuple[int, int], found: bool) -> None:
    """An incident of rows 100–149 is met by an event that overlaps it or the ten steps after it, and no other."""
    summary = summarise(make.replay(make.group(events=[event], incidents=[make.incident(100, 150)])))
    assert summary.detected_incidents == int(found)
    assert summary.false_events == int(not found)


def test_an_open_event_reaches_to_its_newest_row(make) -> None:
    """An event that is still open overlaps every incident that began before its newest row ended."""
    event = make.event(90, 101, open_=True)
    assert summarise(make.replay(make.group(events=[event], incidents=[make.incident(100, 150)]))).detected_incidents
    event = make.event(90, 100, open_=True)
    assert not summarise(
        make.replay(make.group(events=[event], incidents=[make.incident(100, 150)]))
    ).detected_incidents


def test_labels_of_one_kind_and_start_are_one_incident(make) -> None:
    """An incident labelled in two groups counts once, and is found when one of the groups found it."""
    groups = [
        make.group(group=WEB, incidents=[make.incident(100, 140, group=WEB, kind="slow disk")]),
        make.group(group=DB, incidents=[make.incident(100, 160, group=DB, kind="slow disk")], events=[(110, 120)]),
    ]
    assessment = assess(make.replay(*groups))
    assert (assessment.summary.labelled_incidents, assessment.summary.detected_incidents) == (1, 1)
    (match,) = assessment.matches
    assert match.groups == (WEB, DB)
    assert (match.start, match.end) == (make.time(100), make.time(160))


def test_labels_without_a_kind_count_one_by_one(make) -> None:
    """Nothing ties two labels without a kind together, even when they start at once."""
    groups = [make.group(group=group, incidents=[make.incident(100, 140, group=group)]) for group in (WEB, DB)]
    assert summarise(make.replay(*groups)).labelled_incidents == 2


def test_an_event_of_another_group_does_not_find_an_incident(make) -> None:
    """Groups are judged by their own labels."""
    groups = [
        make.group(group=WEB, incidents=[make.incident(100, 140, group=WEB, kind="slow disk")]),
        make.group(group=DB, incidents=[], events=[(100, 140)]),
    ]
    summary = summarise(make.replay(*groups))
    assert (summary.detected_incidents, summary.false_events) == (0, 1)


def test_events_of_unlabelled_groups_are_not_false(make) -> None:
    """If only some groups carry labels, the events of the others stay out of the verdict."""
    groups = [make.group(group=WEB, incidents=[]), make.group(group=DB, events=[(100, 140)])]
    summary = summarise(make.replay(*groups))
    assert (summary.events, summary.false_events) == (1, 0)


def test_the_delay_is_the_earliest_and_never_negative(make) -> None:
    """Of several events the first confirmation counts; one from before the incident counts as no delay."""
    incident = make.incident(100, 200)
    assert (
        summarise(make.replay(make.group(events=[(150, 160), (120, 130)], incidents=[incident]))).median_delay_seconds
        == 22 * 60
    )
    assert summarise(make.replay(make.group(events=[(90, 130)], incidents=[incident]))).median_delay_seconds == 0


def test_a_culprit_counts_among_the_first_three_only(make) -> None:
    """Naming the true culprit in the fourth place does not help the person on call."""
    culprits = make.event(0, 1).culprits
    last = culprits[0].__class__("queue_depth", 0.01, 1.0, 1.0, 1.0, 1.0)
    event = make.event(100, 120, culprits=(*culprits, last))
    for name, named in (("cpu_busy", 1), ("queue_depth", 0)):
        incident = make.incident(100, 120, culprits=(name,))
        assert summarise(make.replay(make.group(events=[event], incidents=[incident]))).culprit_in_top3 == named


def test_a_culprit_of_a_missed_incident_is_not_named(make) -> None:
    """Known culprits of missed incidents make the count zero, not null."""
    incident = make.incident(100, 120, culprits=("cpu_busy",))
    assert summarise(make.replay(make.group(incidents=[incident]))).culprit_in_top3 == 0


def test_the_rate_counts_the_monitor_not_its_groups(make) -> None:
    """One false event in each of two groups over half a week is four a week."""
    groups = [make.group(5040, group=group, events=[(100, 140)], incidents=[]) for group in (WEB, DB)]
    assert summarise(make.replay(*groups)).false_events_per_week == pytest.approx(4.0)


def test_nothing_at_all(make) -> None:
    """A replay without groups has no labels either."""
    summary = summarise(make.replay())
    assert (summary.groups, summary.rows, summary.events, summary.labelled_incidents) == (0, 0, 0, None)
