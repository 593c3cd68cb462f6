"""The store: rows scored, events, and the deliveries that are still to be made.

State, events, their history and their pending deliveries are written in one transaction, so that a crash leaves all
of them or none. Tables: :mod:`tsdiff_monitor.store.schema`; guarantees: ``docs/events.md``.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pandas as pd

from tsdiff_monitor.store.columns import group_of, labels_text, ns_of, time_of
from tsdiff_monitor.store.commits import Commits
from tsdiff_monitor.store.event_log import EventLog
from tsdiff_monitor.store.feedback import FeedbackBook
from tsdiff_monitor.store.outbox import Outbox
from tsdiff_monitor.store.records import Delivery, GroupState
from tsdiff_monitor.store.schema import MIGRATIONS
from tsdiff_monitor.system.database import Database
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["Delivery", "GroupState", "Store"]

_NEWEST = "coalesce(last_seen, last_scored)"
_PORTION = 200  # events forgotten at once
_READERS = 4  # more threads hardly ever read at the same moment


class Store(Commits, EventLog, Outbox, FeedbackBook):
    """The state database. Safe to share between threads; every method raises ``StoreError`` and nothing else.

    ``now`` (Unix seconds) dates new deliveries; ``factory`` is the connection class.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        busy_timeout: float = 5.0,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self._now = now
        super().__init__(
            Database(path, migrations=MIGRATIONS, busy_timeout=busy_timeout, factory=factory, readers=_READERS)
        )

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._database.close()

    def group_state(self, monitor: str, group: Group) -> GroupState:
        """The state that the newest :meth:`commit` of this group left."""
        rows = self._database.read(
            "SELECT last_scored, tracker, last_seen, last_written FROM groups WHERE monitor = ? AND labels = ?",
            (monitor, labels_text(group)),
        )
        return _state(*rows[0]) if rows else GroupState(None, None)

    def group_states(self, monitor: str) -> dict[Group, GroupState]:
        """:meth:`group_state` of every stored group of the monitor, sorted by labels."""
        rows = self._database.read(
            "SELECT labels, last_scored, tracker, last_seen, last_written FROM groups "
            "WHERE monitor = ? ORDER BY labels",
            (monitor,),
        )
        return {group_of(labels): _state(*state) for labels, *state in rows}

    def last_scored(self, monitor: str) -> dict[Group, pd.Timestamp]:
        """The newest row scored of each group that has one, sorted by labels."""
        rows = self._database.read(
            "SELECT labels, last_scored FROM groups WHERE monitor = ? AND last_scored IS NOT NULL ORDER BY labels",
            (monitor,),
        )
        return {group_of(labels): time_of(last) for labels, last in rows}

    def watched_since(self, monitor: str) -> pd.Timestamp | None:
        """The newest row of the monitor's very first commit, of a group known or forgotten; None before it."""
        rows = self._database.read(
            "SELECT min(first) FROM (SELECT min(first_scored) AS first FROM groups WHERE monitor = ?1 "
            "UNION ALL SELECT first_scored FROM watched WHERE monitor = ?1)",
            (monitor,),
        )
        return None if rows[0][0] is None else time_of(rows[0][0])

    def groups(self, monitor: str) -> list[Group]:
        """The groups that a monitor has committed, sorted by their labels."""
        rows = self._database.read("SELECT labels FROM groups WHERE monitor = ? ORDER BY labels", (monitor,))
        return [group_of(labels) for (labels,) in rows]

    def newest_rows(self) -> dict[str, pd.Timestamp]:
        """The newest row with a value of each monitor that has one, of all its groups."""
        rows = self._database.read(f"SELECT monitor, max({_NEWEST}) FROM groups GROUP BY monitor")  # noqa: S608
        return {monitor: time_of(newest) for monitor, newest in rows if newest is not None}

    def forget_groups(self, monitor: str, before: pd.Timestamp) -> list[Group]:
        """Forget groups whose newest row is older; returns them. One that comes back later begins anew.

        Not while one of its events is open, or a delivery about one is pending. :meth:`watched_since` stays.
        """
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT labels, first_scored FROM groups AS g WHERE monitor = ? AND {_NEWEST} < ? "  # noqa: S608
                "AND NOT EXISTS (SELECT 1 FROM events e WHERE e.labels = g.labels AND e.monitor = g.monitor "
                "AND NOT e.incident AND (e.state = 'open' OR EXISTS "
                "(SELECT 1 FROM deliveries d WHERE d.event_id = e.id AND d.status = 'pending'))) ORDER BY labels",
                (monitor, ns_of(before)),
            ).fetchall()
            began = [first for _, first in rows if first is not None]
            if began:
                connection.execute(
                    "INSERT INTO watched (monitor, first_scored) VALUES (?, ?) ON CONFLICT (monitor) "
                    "DO UPDATE SET first_scored = min(first_scored, excluded.first_scored)",
                    (monitor, min(began)),
                )
            connection.executemany(
                "DELETE FROM groups WHERE monitor = ? AND labels = ?", [(monitor, labels) for labels, _ in rows]
            )
        return [group_of(labels) for labels, _ in rows]

    def prune(self, older_than: pd.Timestamp) -> int:
        """Delete resolved events whose newest change is older and that have no delivery pending; returns their number.

        Choose ``older_than`` well before any cool-down, so that no event can still be continued.
        """
        gone = 0
        while True:
            with self._database.transaction() as connection:  # in portions: no other commit is possible meanwhile
                portion = connection.execute(
                    "DELETE FROM events WHERE id IN (SELECT id FROM events e WHERE state = 'resolved' AND last < ? "
                    "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id AND d.status = 'pending') "
                    "LIMIT ?)",
                    (ns_of(older_than), _PORTION),
                ).rowcount
            gone += portion
            if portion < _PORTION:
                return gone


def _state(last: int | None, tracker: str | None, seen: int | None, written: int | None) -> GroupState:
    last_scored, last_seen, last_written = (None if time is None else time_of(time) for time in (last, seen, written))
    return GroupState(last_scored, None if tracker is None else json.loads(tracker), last_seen, last_written)
