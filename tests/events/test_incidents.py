"""Groups that fail together are one incident: the changes that belong to it, and those that are reported."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_monitor.events.event import ABSENT, Change, Event, EventChange, ResolveReason, Severity
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.events.feedback import Feedback
from tsdiff_monitor.events.grouping import Grouping, group_events, labelled_events
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.testing import example_event
from tsdiff_monitor.timeseries.frame import Group

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
POLICY = EventPolicy()


def host(number: int, **labels: str) -> Group:
    return tuple(sorted({"instance": f"web-{number}", **labels}.items()))


def changed(number: int, begin: int, at: int, change: Change = Change.opened, **fields: object) -> EventChange:
    """A change at minute ``at`` of the event of a host that was confirmed at minute ``begin``."""
    group = fields.pop("group", host(number))
    ended = {"end": T0 + MINUTE * at, "reason": ResolveReason.calm} if change is Change.resolved else {}
    event = example_event(
        id=f"{group}@{begin}",
        group=group,
        start=T0 + MINUTE * (begin - 1),
        confirmed=T0 + MINUTE * begin,
        last=T0 + MINUTE * at,
        **{"severity": Severity.info, "peak": 1.0 + number / 100, **ended, **fields},
    )
    return EventChange(change, event, at - begin + 1)


class Book:
    """A fake store: keeps what was committed, tick by tick."""

    def __init__(self, policy: EventPolicy = POLICY) -> None:
        self.policy = policy
        self.events: dict[str, Event] = {}
        self.reported: list[EventChange] = []
        self.suppressed: set[str] = set()

    def ask(self, changes: Sequence[EventChange]) -> Grouping:
        def sequence_of(name: str) -> int:
            return max((one.sequence for one in self.reported if one.event.id == name), default=0)

        return group_events(changes, self.events.values(), self.policy, MINUTE, sequence_of)

    def tick(self, changes: Sequence[EventChange], *, committed: Sequence[EventChange] | None = None) -> None:
        found = self.ask(changes)
        self.suppressed |= found.suppressed
        self.reported += [change for change, _ in found.incidents]
        for change in [*(changes if committed is None else committed), *(one for one, _ in found.incidents)]:
            self.events[change.event.id] = change.event

    @property
    def story(self) -> list[tuple[Change, int, int]]:
        """Change, minute and number of groups of each report."""
        return [(c.change, round((c.event.last - T0) / MINUTE), len(c.event.members)) for c in self.reported]


def test_what_explains_a_member_does_not_explain_all() -> None:
    """An incident has no explanation of its own: the metrics named there would be those of one group."""
    book = Book()
    book.tick([changed(n, 5, 5, explanation=Explanation(("cpu",), 1.0 + n / 100, 0.5)) for n in range(4)])
    (incident,) = book.reported
    assert len(incident.event.members) == 4
    assert incident.event.explanation is None


def test_thirty_hosts_are_one_message() -> None:
    """Those of one row open the incident, later ones join it; it ends with the last of them."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(20)])
    book.tick([changed(n, 6, 6) for n in range(20, 30)])
    book.tick([changed(n, 5, 20, Change.resolved) for n in range(20)])
    book.tick([changed(n, 6, 22, Change.resolved) for n in range(20, 30)])
    assert book.story == [(Change.opened, 5, 20), (Change.updated, 6, 30), (Change.resolved, 22, 30)]
    assert [change.sequence for change in book.reported] == [1, 2, 3]
    assert len(book.suppressed) == 30  # an end goes only to recipients of the beginning
    last = book.reported[-1].event
    assert (last.end, last.reason, last.start) == (T0 + 22 * MINUTE, ResolveReason.calm, T0 + 4 * MINUTE)


def test_two_are_sent_by_themselves() -> None:
    """No message waits for a third; when it comes, the incident names all three, and only then are they not sent."""
    book = Book()
    book.tick([changed(1, 5, 5), changed(2, 5, 5)])
    assert book.reported == [] and not book.suppressed
    book.tick([changed(3, 7, 7)])
    assert book.story == [(Change.opened, 7, 3)]
    assert book.suppressed == {changed(3, 7, 7).key}


@pytest.mark.parametrize(("policy", "third"), [(POLICY, 10), (EventPolicy(incident_groups=None), 5)])
def test_what_is_apart_is_no_incident(policy: EventPolicy, third: int) -> None:
    """Further apart than ``incident_within``, or switched off."""
    book = Book(policy)
    book.tick([changed(1, 5, 5), changed(2, 5, 5)])
    book.tick([changed(3, third, third)])
    assert book.reported == []


def test_two_rows_are_always_close() -> None:
    """With rows further apart than ``incident_within``, the next row is still close."""
    book = Book(EventPolicy.model_validate({"incident_within": "1s"}))
    book.tick([changed(1, 5, 5), changed(2, 5, 5)])
    book.tick([changed(3, 6, 6)])
    assert book.story == [(Change.opened, 6, 3)]


def test_switched_off_it_still_ends() -> None:
    """After a reload with ``incident_groups: null``, nothing joins an incident, but it is reported until it is over."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    book.policy = EventPolicy(incident_groups=None)
    book.tick([changed(7, 6, 6), changed(0, 5, 6, Change.resolved)])
    book.tick([changed(n, 5, 9, Change.resolved) for n in (1, 2)])
    assert book.story == [(Change.opened, 5, 3), (Change.resolved, 9, 3)]
    assert changed(7, 6, 6).key not in book.suppressed


def test_what_is_over_counts_no_more() -> None:
    """An event that ended before the third began is not part of an incident."""
    book = Book()
    book.tick([changed(1, 5, 5), changed(2, 5, 5)])
    book.tick([changed(1, 5, 6, Change.resolved)])
    book.tick([changed(3, 7, 7)])
    assert book.reported == []


def test_kinds_are_apart() -> None:
    """Hosts that behave oddly and hosts that are silent are two incidents."""
    book = Book()
    strange = [changed(n, 5, 5) for n in range(3)]
    silent = [changed(n, 5, 5, kind=ABSENT, culprits=()) for n in range(10, 14)]
    book.tick([*strange, *silent])
    assert sorted((one.event.kind, len(one.event.members)) for one in book.reported) == [("absent", 4), ("anomaly", 3)]
    assert len({one.event.id for one in book.reported}) == 2


def test_common_labels_are_kept() -> None:
    """The labels that the first members have in common name the incident; a group that differs is of another one."""
    book = Book()
    book.tick([changed(n, 5, 5, group=host(n, zone="eu")) for n in range(3)])
    book.tick([changed(7, 6, 6, group=host(7, zone="us")), changed(8, 6, 6, group=host(8, zone="eu"))])
    assert [one.event.group for one in book.reported] == [(("zone", "eu"),)] * 2
    assert book.story[-1] == (Change.updated, 6, 4)


def test_culprits_are_those_of_the_worst() -> None:
    """One for each of the members with the highest peaks, under its name, with the values it had there."""
    book = Book()
    book.tick([changed(n, 5, 5, peak=float(n)) for n in range(2, 9)])
    event = book.reported[0].event
    assert [culprit.metric for culprit in event.culprits] == [f"instance=web-{n}: cpu" for n in (8, 7, 6, 5, 4)]
    assert (event.peak, event.culprits[0].actual) == (8.0, 93.1)


def test_it_is_reported_again_when_it_is_worse_or_lasts() -> None:
    """A member's severity is its own, and counts at once; otherwise it is reported every ``update_every``."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    book.tick([changed(0, 5, 8, Change.updated)])
    book.tick([changed(1, 5, 9, Change.updated, severity=Severity.critical)])
    book.tick([changed(2, 5, 38, Change.updated)])
    book.tick([changed(2, 5, 40, Change.updated)])
    assert book.story == [(Change.opened, 5, 3), (Change.updated, 9, 3), (Change.updated, 40, 3)]
    assert book.reported[-1].event.severity is Severity.critical


def test_an_event_that_is_continued_opens_it_again() -> None:
    """Under the same id, and it ends again."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    book.tick([changed(n, 5, 10, Change.resolved) for n in range(3)])
    book.tick([changed(1, 5, 15, Change.updated)])
    book.tick([changed(1, 5, 25, Change.resolved)])
    assert [change for change, *_ in book.story] == [Change.opened, Change.resolved, Change.updated, Change.resolved]
    assert len({one.event.id for one in book.reported}) == 1
    assert [one.event.end is None for one in book.reported] == [True, False, True, False]


def lives(seed: int) -> list[EventChange]:
    """Twelve hosts that open, are updated and end within an hour, in the order of rows."""
    source = random.Random(seed)
    changes = []
    for number in range(12):
        begin = source.randrange(1, 25)
        end = begin + source.randrange(2, 30)
        changes += [changed(number, begin, begin), changed(number, begin, end, Change.resolved)]
        if end - begin > 4:
            changes.append(changed(number, begin, begin + 2, Change.updated, severity=source.choice([*Severity])))
    return sorted(changes, key=lambda change: (change.event.last, change.event.group))


@given(st.integers(0, 999), st.lists(st.integers(1, 60), max_size=6))
@settings(max_examples=40, deadline=None)
def test_chunks_do_not_matter(seed: int, cuts: list[int]) -> None:
    """With any number of rows in a tick, as long as it brings all groups', the reports of incidents are the same."""
    changes, by_row, in_chunks = lives(seed), Book(), Book()
    for row in range(61):
        by_row.tick([one for one in changes if one.event.last == T0 + row * MINUTE])
    edges = [0, *sorted(cuts), 61]
    for first, last in pairwise(edges):
        in_chunks.tick([one for one in changes if first <= (one.event.last - T0) / MINUTE < last])
    assert in_chunks.reported == by_row.reported
    assert in_chunks.suppressed == by_row.suppressed


@given(st.integers(0, 999), st.integers(1, 11), st.integers(5, 61))
@settings(max_examples=40, deadline=None)
def test_a_crash_between_groups_changes_nothing(seed: int, survivors: int, rows: int) -> None:
    """Only some groups of a tick, and its incidents, were committed: the rest is found again, once."""
    changes = lives(seed)
    tick = [one for one in changes if (one.event.last - T0) / MINUTE < rows]
    rest = [one for one in changes if one not in tick]
    whole, broken = Book(), Book()
    whole.tick(tick)
    kept = [one for one in tick if one.event.group in {host(n) for n in range(survivors)}]
    broken.tick(tick, committed=kept)
    broken.tick([one for one in tick if one not in kept])
    for book in (whole, broken):
        book.tick(rest)
    assert [(one.key, one.change) for one in broken.reported] == [(one.key, one.change) for one in whole.reported]


def test_a_group_that_comes_late_joins_when_it_comes() -> None:
    """Its rows are older than the last report of the incident."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    book.tick([changed(n, 5, 12, Change.resolved) for n in range(2)])
    book.tick([changed(1, 5, 50, Change.updated)])
    book.tick([changed(9, 8, 8)])
    assert book.story[-1] == (Change.updated, 50, 4)


def test_feedback_on_an_incident_is_feedback_on_its_members() -> None:
    """Unless something else was said of a member."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    (incident,) = [event for event in book.events.values() if event.members]
    false, real = Feedback("false", "", 0.0), Feedback("real", "", 0.0)
    first, second, third = (member.event for member in incident.members)
    said = labelled_events({incident.id: false, second: real}, list(book.events.values()))
    assert [said[one] for one in (first, second, third)] == [false, real, false]


def test_an_incident_survives_json() -> None:
    """Read back from its JSON form it has the same members."""
    book = Book()
    book.tick([changed(n, 5, 5) for n in range(3)])
    assert EventChange.from_json(book.reported[0].to_json()) == book.reported[0]
