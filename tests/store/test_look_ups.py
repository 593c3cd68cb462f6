"""Look-ups that do not read whole tables, and the same results as the slow way."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.store.changes import GROUP, MINUTE, T0, commit, make_change
from tsdiff_monitor.events.event import Change, Event, EventChange, Member
from tsdiff_monitor.events.grouping import labelled_events
from tsdiff_monitor.pipeline.alarm_rate import LOOK_BACK, seen_per_week
from tsdiff_monitor.store.columns import labels_text, ns_of
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.store.schema import MIGRATIONS
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.database import Database
from tsdiff_monitor.testing import example_event
from tsdiff_monitor.timeseries.frame import Group

EVENTS, GROUPS, HOUR = 5000, 20, pd.Timedelta(hours=1)
NOW = T0 + EVENTS * HOUR / 4
_FEW = re.compile(r"SCAN (\(?subquery|own|json_each|f\b|totals|CONSTANT|.* INDEX deliveries_(pending|dead|left))", re.I)
"""Tables that may be scanned: results of other look-ups, feedback, and indexes of the few that are not delivered."""


class Recording(sqlite3.Connection):
    """Keeps the statements and their parameters."""

    made: list[tuple[str, Any]]

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        Recording.made.append((sql, parameters[0] if parameters else ()))
        return super().execute(sql, *parameters)


def host(number: int) -> Group:
    return (("host", f"{number}"),)


def fill(store: Store) -> None:
    """A store of many events, each a quarter of an hour after the one before; every fiftieth is an incident."""
    source, parts, shared, recipients = random.Random(1), [], [], {}
    for number in range(EVENTS):
        start, group = T0 + number * HOUR / 4, host(number % GROUPS)
        end = None if number % 97 == 0 else start + source.randrange(1, 9) * HOUR
        event = example_event(id=f"{number * 7919 % 65536:04x}", group=group, start=start, confirmed=start)
        event = dataclasses.replace(event, last=end or start, end=end)
        if number % 50 == 49:
            names = [change.event for part in parts[-4:] for change in part.changes]
            event = dataclasses.replace(event, group=(), members=tuple(Member(one.id, one.group) for one in names))
        change = EventChange(Change.opened, event, 1)
        recipients[change.key] = ("slack", "pager")
        if event.members:
            shared.append(change)
        else:
            parts.append(GroupCommit(group, [change], start, {}))
    store.commit_tick(TickCommit("hosts", parts, shared, recipients))


def settle(store: Store) -> None:
    """Feedback on some events, deliveries made and given up."""
    source, events = random.Random(2), store.events()
    for event in source.sample(events, 300) + [one for one in events if one.members][::2]:
        store.give_feedback(event.id, source.choice(("real", "false", "expected")), "", 0.0)
    with store._database.transaction() as connection:
        connection.execute("UPDATE deliveries SET status = 'delivered' WHERE id % 10 <> 0")
        connection.execute("UPDATE deliveries SET status = 'dead' WHERE id % 30 = 0")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    Recording.made = []
    path = tmp_path_factory.mktemp("large") / "state.sqlite"
    with Store(path, now=lambda: 0.0, factory=Recording) as opened:
        fill(opened)
        settle(opened)
        yield opened


def scans(store: Store) -> dict[str, str]:
    """The tables gone through by what was executed since the list was emptied, with the statement."""
    made, found = list(Recording.made), {}
    for sql, parameters in made:
        if not sql.startswith(("BEGIN", "COMMIT", "PRAGMA")):
            for *_, detail in store._database.read(f"EXPLAIN QUERY PLAN {sql}", parameters):
                if detail.startswith("SCAN") and not _FEW.match(detail):
                    found[detail] = sql
    return found


HOT = {
    "metrics": lambda store: (store.counts(), store.dead_letters()),
    "alarm rate": lambda store: seen_per_week(store, "hosts", NOW),
    "open events": lambda store: (store.events(state="open", limit=100), store.events("hosts", state="open")),
    "events of the API": lambda store: (store.events("hosts", limit=100), store.events("hosts", "resolved", limit=100)),
    "commit": lambda store: (
        store.events("hosts", start=NOW - HOUR),
        store.sequences(["0000"]),
        store.notified(["0000", "1eef"]),
    ),
    "history": lambda store: store.events("hosts", start=T0, end=NOW, group=host(1)),
    "delivery": lambda store: (store.due(1.0, 100), store.receipt("0000", "slack"), store.undelivered()),
    "resends": lambda store: store.latest_delivered("slack", NOW - HOUR),
    "feedback": lambda store: store.find_events("1e"),
    "prune": lambda store: store.prune(T0),
    "put back": lambda store: store.put_back(0.0, []),
}


@pytest.mark.parametrize("name", HOT)
def test_no_table_is_gone_through(store: Store, name: str) -> None:
    """Each query that runs often finds its rows by an index."""
    Recording.made.clear()
    HOT[name](store)
    assert Recording.made
    assert scans(store) == {}


def test_a_scan_would_be_noticed(store: Store) -> None:
    """The check above is one."""
    Recording.made.clear()
    store._database.read("SELECT count(*) FROM events WHERE body LIKE '%a%'")
    assert list(scans(store)) == ["SCAN events"]


def test_events_of_a_group_come_with_their_incidents(store: Store) -> None:
    """As filtered from all events by hand, of any span."""
    for start, end in ((T0, NOW), (NOW - 30 * HOUR, NOW), (T0 + 100 * HOUR, T0 + 130 * HOUR), (None, None)):
        span = store.events("hosts", start=start, end=end)
        for group in (host(0), host(7), ()):
            own = {event.id for event in span if event.group == group}
            with_incidents = [one for one in span if one.id in own or own & {member.event for member in one.members}]
            assert store.events("hosts", start=start, end=end, group=group) == with_incidents
            assert own
    assert store.events("other", group=host(0)) == []


def slow_rate(store: Store, now: pd.Timestamp) -> float:
    """The definition, over all events."""
    since = store.watched_since("hosts")
    assert since is not None
    start = max(since, now - LOOK_BACK)
    events = store.events("hosts", start=start, end=now)
    known = labelled_events(store.feedback("hosts"), events)
    began = [event for event in events if event.start >= start and not event.members]
    unclear = [event for event in began if event.id not in known or known[event.id].verdict == "false"]
    return len(unclear) / ((now - start) / pd.Timedelta(days=7))


def test_the_alarm_rate_is_the_slow_one(store: Store) -> None:
    """Feedback on incidents included, at any time."""
    times = [NOW, NOW - 3 * HOUR, T0 + 40 * 24 * HOUR, T0 + 30 * HOUR]
    rates = [seen_per_week(store, "hosts", time) for time in times]
    assert rates == [slow_rate(store, time) for time in times]
    assert min(rate for rate in rates if rate is not None) > 100


def test_deliveries_are_counted_as_they_are(store: Store, tmp_path: Path) -> None:
    """After commits, marks, put-backs and deletions the totals are those of the table."""
    with Store(tmp_path / "small.sqlite") as small:
        for name in "abc":
            commit(small, make_change(event=name * 16, end=1), notifiers=("slack", "console"))
        first, second, third, *_ = small.due(2e9, 10)
        small.mark_delivered(first.id, 0.0)
        small.mark_dead(second.id, 0.0, "gone", "")
        small.mark_dead(third.id, 0.0, "gone", "")
        small.put_back(0.0, [third.id])
        for one in (store, small):
            rows = Counter(status for (status,) in one._database.read("SELECT status FROM deliveries"))
            assert one.counts() == {status: rows[status] for status in ("pending", "delivered", "dead")}
        for one in small.due(2e9, 10):
            small.mark_delivered(one.id, 0.0)
        assert small.counts() == {"pending": 0, "delivered": 5, "dead": 1}
        assert small.prune(T0 + 9 * MINUTE) == 3
        assert small.counts() == {"pending": 0, "delivered": 0, "dead": 0}


def test_newest_delivered_changes_are_the_slow_ones(store: Store) -> None:
    """Of events that are open or ended of late; the newest change that the notifier took."""
    since = NOW - 50 * HOUR
    taken = store._database.read("SELECT event_id FROM deliveries WHERE notifier = 'pager' AND status = 'delivered'")
    alive = [one for one in store.events() if one.end is None or one.end > since]
    expected = [one for one in alive if (one.id,) in set(taken)]
    found = [change.event for change in store.latest_delivered("pager", since)]
    assert found == sorted(expected, key=lambda event: (event.start, event.id))
    assert 0 < len(found) < len(alive)


def test_events_are_found_by_how_they_begin(store: Store) -> None:
    """Sorted; not those that only contain it; nothing for what no id can begin with."""
    ids = sorted(event.id for event in store.events())
    for beginning in ("1", "1e", "1ee", "ffff", "zz"):
        assert store.find_events(beginning) == [one for one in ids if one.startswith(beginning)]
    assert store.find_events("\udcff") == store.find_events("é") == []


def test_older_stores_learn_groups_and_members(tmp_path: Path) -> None:
    """The columns that look-ups need are filled in from the events' bodies; deliveries are counted."""
    path = tmp_path / "state.sqlite"
    old = Database(path, migrations=MIGRATIONS[:3])
    group: Group = (("host", "ä"), ("zone", "1"))
    member = example_event(id="m", group=group)
    incident = dataclasses.replace(example_event(id="i", group=()), members=(Member("m", group),))
    with old.transaction() as connection:
        for event in (member, incident):
            _insert(connection, event)
    old.close()
    with Store(path) as store:
        assert {event.id for event in store.events(event.monitor, group=group)} == {"m", "i"}
        assert store._database.read("SELECT id, labels, incident FROM events ORDER BY id") == [
            ("i", labels_text(()), 1),
            ("m", labels_text(group), 0),
        ]
        assert store.counts() == {"pending": 2, "delivered": 0, "dead": 0}
        assert GROUP not in store.groups("hosts")


def _insert(connection: sqlite3.Connection, event: Event) -> None:
    """As versions before wrote it."""
    row = (event.id, event.monitor, event.state, ns_of(event.start), ns_of(event.last), json.dumps(event.to_json()))
    connection.execute(
        "INSERT INTO events (id, monitor, state, start, last, sequence, body) VALUES (?, ?, ?, ?, ?, 1, ?)", row
    )
    change = json.dumps(EventChange(Change.opened, event, 1).to_json())
    connection.execute("INSERT INTO changes VALUES (?, 1, ?)", (event.id, change))
    connection.execute(
        "INSERT INTO deliveries (event_id, sequence, notifier, created) VALUES (?, 1, 'slack', 0)", (event.id,)
    )
