"""The store: what was scored, what happened, and what is still to be told to whom.

State, events, their history and their pending deliveries are written in one transaction, so that a crash leaves all
of them or none. Tables: :mod:`tsdiff_monitor.store.schema`; guarantees: ``docs/events.md``.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pandas as pd

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.frame import Group, group_name
from tsdiff_monitor.store.database import Database
from tsdiff_monitor.store.feedback import FeedbackBook
from tsdiff_monitor.store.outbox import Outbox
from tsdiff_monitor.store.records import Delivery, GroupState

__all__ = ["Delivery", "GroupState", "Store"]

_PORTION = 200  # events forgotten at once


class Store(Outbox, FeedbackBook):
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
        super().__init__(Database(path, busy_timeout=busy_timeout, factory=factory))

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
        """What the newest :meth:`commit` of this group left."""
        rows = self._database.read(
            "SELECT last_scored, tracker FROM groups WHERE monitor = ? AND labels = ?", (monitor, _labels(group))
        )
        last, tracker = rows[0] if rows else (None, None)
        return GroupState(None if last is None else _time(last), None if tracker is None else json.loads(tracker))

    def last_scored(self, monitor: str) -> dict[Group, pd.Timestamp]:
        """The newest row scored of each group that has one, sorted by labels."""
        rows = self._database.read(
            "SELECT labels, last_scored FROM groups WHERE monitor = ? AND last_scored IS NOT NULL ORDER BY labels",
            (monitor,),
        )
        return {_group(labels): _time(last) for labels, last in rows}

    def watched_since(self, monitor: str) -> pd.Timestamp | None:
        """The newest row of the monitor's very first commit; None before it."""
        rows = self._database.read("SELECT min(first_scored) FROM groups WHERE monitor = ?", (monitor,))
        return None if rows[0][0] is None else _time(rows[0][0])

    def groups(self, monitor: str) -> list[Group]:
        """The groups that a monitor has committed, sorted by their labels."""
        rows = self._database.read("SELECT labels FROM groups WHERE monitor = ? ORDER BY labels", (monitor,))
        return [_group(labels) for (labels,) in rows]

    def commit(
        self,
        monitor: str,
        group: Group,
        last_scored: pd.Timestamp | None,
        tracker_json: Mapping[str, Any] | None,
        changes: Sequence[EventChange],
        notifiers: Sequence[str] | Callable[[EventChange], Sequence[str]],
    ) -> None:
        """Save a group's new state, its changes and a pending delivery per change and notifier: all or nothing.

        ``notifiers`` are the same for all changes, or a function of the change.
        Committing the same again changes nothing: a change is known by its key. None for ``last_scored`` or
        ``tracker_json`` keeps what is stored. Raises ``StoreError`` when the stored ``last_scored`` is newer: another
        process is scoring the same group, and one of the two would lose events.
        """
        labels, last = _labels(group), None if last_scored is None else _ns(last_scored)
        tracker = None if tracker_json is None else json.dumps(tracker_json, separators=(",", ":"))
        with self._database.transaction() as connection:
            stored = connection.execute(
                "SELECT last_scored FROM groups WHERE monitor = ? AND labels = ?", (monitor, labels)
            ).fetchone()
            if last is not None and stored is not None and stored[0] is not None and stored[0] > last:
                raise StoreError(
                    f"{self._database.path}: group {group_name(group)} of monitor {monitor} is already scored up to "
                    f"{_time(stored[0]).isoformat()}, later than {_time(last).isoformat()}; "
                    "run one tsdiff-monitor per storage path"
                )
            connection.execute(
                "INSERT INTO groups (monitor, labels, last_scored, first_scored, tracker) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (monitor, labels) DO UPDATE SET last_scored = coalesce(excluded.last_scored, last_scored),"
                " first_scored = coalesce(first_scored, excluded.first_scored),"
                " tracker = coalesce(excluded.tracker, tracker)",
                (monitor, labels, last, last, tracker),
            )
            for change in changes:
                self._commit_change(connection, change, notifiers(change) if callable(notifiers) else notifiers)

    def _commit_change(self, connection: sqlite3.Connection, change: EventChange, notifiers: Sequence[str]) -> None:
        event, key = change.event, (change.event.id, change.sequence)
        end = None if event.end is None else _ns(event.end)
        connection.execute(
            'INSERT INTO events (id, monitor, state, start, "end", last, sequence, body) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            'ON CONFLICT (id) DO UPDATE SET state = excluded.state, start = excluded.start, "end" = excluded."end", '
            "last = excluded.last, sequence = excluded.sequence, body = excluded.body "
            "WHERE excluded.sequence > sequence",
            (
                event.id,
                event.monitor,
                event.state,
                _ns(event.start),
                end,
                _ns(event.last),
                change.sequence,
                json.dumps(event.to_json()),
            ),
        )
        body = json.dumps(change.to_json())
        connection.execute(
            "INSERT INTO changes (event_id, sequence, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (*key, body)
        )
        for notifier in notifiers:
            connection.execute(
                "INSERT INTO deliveries (event_id, sequence, notifier, created) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (*key, notifier, self._now()),
            )

    def events(
        self,
        monitor: str | None = None,
        state: Literal["open", "resolved"] | None = None,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """The events that overlap ``start <= t < end``, newest start first; arguments left out do not restrict."""
        wanted: list[tuple[str, Any]] = [
            ("monitor = ?", monitor),
            ("state = ?", state),
            ('("end" IS NULL OR "end" > ?)', None if start is None else _ns(start)),
            ("start < ?", None if end is None else _ns(end)),
        ]
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(condition for condition, _ in given) or "TRUE"
        rows = self._database.read(
            f"SELECT body FROM events WHERE {where} ORDER BY start DESC, id LIMIT ?",  # noqa: S608 - only constants
            (*(value for _, value in given), -1 if limit is None else limit),
        )
        return [Event.from_json(json.loads(body)) for (body,) in rows]

    def event(self, event_id: str) -> Event | None:
        """One event as its newest change left it; None when there is none of this id."""
        rows = self._database.read("SELECT body FROM events WHERE id = ?", (event_id,))
        return Event.from_json(json.loads(rows[0][0])) if rows else None

    def changes(self, event_id: str) -> list[EventChange]:
        """An event's history, oldest first."""
        rows = self._database.read("SELECT body FROM changes WHERE event_id = ? ORDER BY sequence", (event_id,))
        return [EventChange.from_json(json.loads(body)) for (body,) in rows]

    def prune(self, older_than: pd.Timestamp) -> int:
        """Forget resolved events whose newest change is older and which nobody waits for; returns how many.

        Choose ``older_than`` well before any cool-down, so that no event can still be continued.
        """
        gone = 0
        while True:
            with self._database.transaction() as connection:  # in portions: nobody else can commit meanwhile
                portion = connection.execute(
                    "DELETE FROM events WHERE id IN (SELECT id FROM events e WHERE state = 'resolved' AND last < ? "
                    "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id AND d.status = 'pending') "
                    "LIMIT ?)",
                    (_ns(older_than), _PORTION),
                ).rowcount
            gone += portion
            if portion < _PORTION:
                return gone


def _labels(group: Group) -> str:
    return json.dumps([list(label) for label in group])


def _group(labels: str) -> Group:
    return tuple((label, value) for label, value in json.loads(labels))


def _ns(time: pd.Timestamp) -> int:
    return int(time.as_unit("ns").value)


def _time(ns: int) -> pd.Timestamp:
    return pd.Timestamp(ns, tz="UTC")
