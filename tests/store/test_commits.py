"""Several groups in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.commits import PartsError
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event
from tsdiff_monitor.timeseries.frame import Group

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
A, B, C = ((("host", name),) for name in "abc")


def opened(name: str, group: Group = ()) -> EventChange:
    return EventChange(Change.opened, example_event(id=name, group=group), 1)


def part(group: Group, minutes: int = 5) -> GroupCommit:
    return GroupCommit(group, [opened(group[0][1], group)], T0 + pd.Timedelta(minutes=minutes), {"minutes": minutes})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite") as made:
        yield made


def contents(store: Store) -> tuple[set[str], list[str], dict[Group, pd.Timestamp]]:
    sent = sorted(f"{one.notifier} {one.change.key}" for one in store.undelivered())
    return {event.id for event in store.events()}, sent, store.last_scored("hosts")


def seen(store: Store) -> dict[Group, pd.Timestamp]:
    return {group: state.last_seen for group, state in store.group_states("hosts").items() if state.last_seen}


def test_groups_and_what_they_share_are_saved_together(store: Store) -> None:
    """States, changes and deliveries of all; the same once more changes nothing."""
    for _ in range(2):
        names = {f"{name}/1": [f"of {name}"] for name in ("a", "b", "both")}
        store.commit_tick(TickCommit("hosts", [part(A), part(B)], [opened("both")], names))
    events, sent, last = contents(store)
    assert events == {"a", "b", "both"}
    assert sent == ["of a a/1", "of b b/1", "of both both/1"]
    assert last == {A: T0 + pd.Timedelta(minutes=5), B: T0 + pd.Timedelta(minutes=5)}
    assert store.group_state("hosts", B).tracker_json == {"minutes": 5}


def test_all_that_stand_in_the_way_are_named(store: Store) -> None:
    """One call says which groups, each with its cause, and leaves the store as it was."""
    store.commit("hosts", B, T0 + pd.Timedelta(minutes=9), {}, [], [])
    before = contents(store)

    class Broken(EventChange):
        def to_json(self) -> dict[str, Any]:
            raise ValueError("a bug")

    def broken(name: str, group: Group = ()) -> EventChange:
        return Broken(Change.opened, example_event(id=name, group=group), 1)

    bad = GroupCommit(C, [broken("c", C)], T0, {})
    with pytest.raises(PartsError) as raised:
        store.commit_tick(TickCommit("hosts", [part(A), part(B), bad], [broken("all")]))
    causes = raised.value.causes
    assert list(causes) == [B, C, None]
    assert isinstance(causes[B], StoreError) and "already scored up to 2026-03-01T00:09" in str(causes[B])
    assert isinstance(causes[C], ValueError) and isinstance(causes[None], ValueError)
    assert contents(store) == before
    store.commit_tick(TickCommit("hosts", [part(A)]))
    assert contents(store)[0] == {"a"}


def test_a_database_that_fails_is_no_groups_fault(tmp_path: Path) -> None:
    """The error says what to do about it; nothing was saved."""

    class Full(sqlite3.Connection):
        full = False

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if self.full and sql.startswith("INSERT INTO changes"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *arguments)

    with Store(tmp_path / "state.sqlite", factory=Full) as store:
        Full.full = True
        with pytest.raises(StoreError, match="disk I/O error") as raised:
            store.commit_tick(TickCommit("hosts", [part(A), part(B)], [opened("both")]))
        Full.full = False
        assert not isinstance(raised.value, PartsError)
        assert contents(store) == (set(), [], {})
        store.commit_tick(TickCommit("hosts", [part(A), part(B)], [opened("both")]))
        assert contents(store)[0] == {"a", "b", "both"}


def test_what_was_read_is_kept_in_one_transaction(tmp_path: Path) -> None:
    """Of groups scored before, the newest row only; when none is newer, as after a commit, nothing is written."""
    begun: list[str] = []
    with Store(tmp_path / "seen.sqlite") as store:
        five, nine = (T0 + pd.Timedelta(minutes=n) for n in (5, 9))
        store.commit_tick(TickCommit("hosts", [part(A), part(B)]))
        store._database._open().set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
        store.commit_tick(TickCommit("hosts", seen={A: five, B: T0, C: nine}))
        assert (seen(store), begun) == ({A: five, B: five}, [])
        store.commit_tick(TickCommit("hosts", seen={A: nine, B: nine, C: nine}))
        assert seen(store) == {A: nine, B: nine}
        assert store.last_scored("hosts") == {A: five, B: five}
        assert len(begun) == 1
        store.commit("hosts", A, nine - pd.Timedelta(minutes=1), {}, [], [])
        assert seen(store) == {A: nine, B: nine}
