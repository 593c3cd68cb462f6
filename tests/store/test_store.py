"""Promises of the state database: transactions, idempotence, and the outbox's order."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.store.changes import GROUP, MINUTE, T0, commit, make_change
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.store.store import GroupState, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "deep" / "state.db", now=lambda: 1000.0) as opened:
        yield opened


def test_a_group_starts_where_its_last_commit_ended(store: Store) -> None:
    """State is kept per monitor and group, and a new group has none."""
    assert store.group_state("hosts", GROUP) == GroupState(None, None)
    commit(store, at=5)
    store.commit("hosts", (), T0, {"at": 0}, [], [])
    assert store.group_state("hosts", GROUP) == GroupState(T0 + MINUTE * 5, {"at": 5}, T0 + MINUTE * 5)
    assert store.group_state("other", GROUP) == GroupState(None, None)
    assert store.groups("hosts") == [GROUP, ()]
    assert store.groups("other") == []


def test_a_commit_without_new_rows_keeps_the_state(store: Store) -> None:
    """Changes may be committed when nothing was scored: None keeps time and tracker."""
    commit(store, at=5)
    store.commit("hosts", GROUP, None, None, [make_change()], ["slack"])
    assert store.group_state("hosts", GROUP) == GroupState(T0 + MINUTE * 5, {"at": 5}, T0 + MINUTE * 5)
    assert store.counts()["pending"] == 1


def test_committing_again_changes_nothing(store: Store) -> None:
    """The same commit twice, after a crash in between, leaves one event, one change and one delivery per notifier."""
    for _ in range(2):
        commit(store, make_change(), at=1, notifiers=("slack", "console", "slack"))
    assert len(store.events()) == 1
    assert store.changes("a" * 16) == [make_change()]
    assert store.counts() == {"pending": 2, "delivered": 0, "dead": 0}
    store.mark_delivered(store.due(0, 1)[0].id, 1.0)
    commit(store, make_change(), at=1, notifiers=("slack", "console"))
    assert store.counts() == {"pending": 1, "delivered": 1, "dead": 0}


def test_going_backwards_is_refused(store: Store) -> None:
    """A second writer that is behind is informed, and nothing of its commit is kept."""
    commit(store, at=5)
    with pytest.raises(StoreError, match=r"already scored up to 2026-03-01T00:05:00.*one tsdiff-monitor per storage"):
        commit(store, make_change(), at=4)
    assert store.events() == [] and store.group_state("hosts", GROUP).tracker_json == {"at": 5}


def test_an_event_shows_its_newest_change(store: Store) -> None:
    """Events are found by id with all their changes; an old change committed late does not undo a newer one."""
    first, last = make_change(1), make_change(2, end=9)
    commit(store, first, last)
    commit(store, first)
    assert store.event("a" * 16) == last.event
    assert store.changes("a" * 16) == [first, last]
    assert store.event("none") is None and store.changes("none") == []


def test_events_are_found_by_monitor_state_and_time(store: Store) -> None:
    """Filters combine; a span finds the events that overlap it, the end of either being exclusive."""
    early, late = make_change(event="e" * 16, start=0), make_change(event="f" * 16, start=20)
    commit(store, early, make_change(2, event="e" * 16, end=10), late)

    def found(**filters: Any) -> list[str]:
        return [event.id[0] for event in store.events(**filters)]

    assert found() == found(monitor="hosts") == ["f", "e"]
    assert found(monitor="other") == []
    assert (found(state="open"), found(state="resolved")) == (["f"], ["e"])
    assert found(start=T0 + MINUTE * 9, end=T0 + MINUTE * 20) == ["e"]
    assert found(start=T0 + MINUTE * 10) == ["f"]
    assert found(end=T0 + MINUTE * 21, limit=1) == ["f"]


def test_a_later_change_waits_for_the_earlier_one(store: Store) -> None:
    """Per event and notifier, changes are due one after the other; other notifiers and events do not wait."""
    other = make_change(event="b" * 16)
    commit(store, make_change(1), make_change(2), other, notifiers=("slack", "console"))

    def due(now: float = 2000.0) -> set[tuple[str, str]]:
        return {(delivery.notifier, delivery.change.key) for delivery in store.due(now, 100)}

    a1, a2, b1 = "a" * 16 + "/1", "a" * 16 + "/2", "b" * 16 + "/1"
    both = {("slack", b1), ("console", b1)}
    assert due() == both | {("slack", a1), ("console", a1)}
    ids = {(d.notifier, d.change.key): d.id for d in store.due(2000.0, 100)}
    store.mark_delivered(ids["slack", a1], 2000.0)
    store.mark_failed(ids["console", a1], 2000.0, 2060.0, "timeout", "no answer")
    assert due() == both | {("slack", a2)}
    assert due(2060.0) == both | {("slack", a2), ("console", a1)}
    store.mark_dead(ids["console", a1], 2060.0, "gone", "channel was deleted")
    assert due(2060.0) == both | {("slack", a2), ("console", a2)}
    assert store.counts() == {"pending": 4, "delivered": 1, "dead": 1}


def test_due_deliveries_carry_what_a_notifier_needs(store: Store) -> None:
    """A delivery carries the change as committed, its age and its attempts; notifiers can be skipped."""
    commit(store, make_change())
    (delivery,) = store.due(0, 10)
    assert (delivery.change, delivery.created, delivery.attempts) == (make_change(), 1000.0, 0)
    store.mark_failed(delivery.id, 1010.0, 1020.0, "timeout", "no answer")
    assert store.due(1019.0, 10) == []
    assert store.due(1020.0, 10) == [replace(delivery, attempts=1, next_attempt=1020.0)]
    assert store.due(1020.0, 10, skip=["slack"]) == []


def test_fresh_deliveries_come_before_retries(store: Store) -> None:
    """A delivery that keeps failing does not hold up new ones of the same notifier."""
    commit(store, make_change())
    store.mark_failed(store.due(0, 1)[0].id, 0.0, 5.0, "bug", "")
    commit(store, make_change(event="b" * 16))
    assert [d.change.event.id[0] for d in store.due(10.0, 10)] == ["b", "a"]


def test_a_finished_delivery_stays_finished(store: Store) -> None:
    """Marks that come late, from a run that hung, do not bring a delivery back."""
    commit(store, make_change())
    (delivery,) = store.due(0, 1)
    store.mark_delivered(delivery.id, 1.0)
    store.mark_failed(delivery.id, 2.0, 3.0, "timeout", "")
    store.mark_dead(delivery.id, 2.0, "timeout", "")
    assert store.counts() == {"pending": 0, "delivered": 1, "dead": 0}


def test_prune_forgets_only_what_is_over(store: Store) -> None:
    """Old resolved events go with their history; open ones, new ones and undelivered ones stay."""
    for name, end in (("a", 5), ("b", 5), ("c", None), ("d", 50)):
        commit(store, make_change(1, event=name * 16), make_change(2, event=name * 16, end=end))
    for _ in range(2):
        for delivery in store.due(0, 100):
            if delivery.change.event.id[0] != "b":
                store.mark_delivered(delivery.id, 1.0)
    assert store.prune(T0 + MINUTE * 10) == 1
    assert sorted(event.id[0] for event in store.events()) == ["b", "c", "d"]
    assert store.changes("a" * 16) == []
    assert store.counts() == {"pending": 2, "delivered": 4, "dead": 0}


class Saboteur(sqlite3.Connection):
    """Fails before the n-th statement executed since :attr:`left` was set."""

    left: int = -1

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if arguments[0] != "ROLLBACK":
            Saboteur.left -= 1
            if Saboteur.left == 0:
                raise sqlite3.OperationalError("disk I/O error")
        return super().execute(*arguments)


def test_a_commit_that_fails_anywhere_leaves_nothing(tmp_path: Path) -> None:
    """Whichever statement fails, neither state nor event nor delivery is there; repeating the commit saves all."""
    path, failures = tmp_path / "state.db", 0
    with Store(path, factory=Saboteur) as store:
        for statement in range(1, 100):
            Saboteur.left = statement
            try:
                commit(store, make_change(1), make_change(2), at=1, notifiers=("slack", "console"))
            except StoreError as error:
                failures += 1
                Saboteur.left = -1
                assert "state.db" in str(error)
                assert store.group_state("hosts", GROUP) == GroupState(None, None)
                assert store.events() == [] and store.counts()["pending"] == 0
            else:
                break
        Saboteur.left = -1
        assert failures == 11  # begin, read, 2 x (event, change, 2 deliveries), commit
        assert len(store.changes("a" * 16)) == 2 and store.counts()["pending"] == 4


def test_threads_share_a_store(store: Store) -> None:
    """Commits from several threads are all kept."""

    def work(name: str) -> None:
        for n in range(1, 11):
            store.commit(name, (), T0 + MINUTE * n, {}, [make_change(n, event=name * 16)], ["slack"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counts()["pending"] == 40
