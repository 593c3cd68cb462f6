"""What a tick leaves: groups' states, their events' changes and pending deliveries, in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.store.columns import labels_text, ns_of, time_of
from tsdiff_monitor.store.database import Database
from tsdiff_monitor.store.records import GroupCommit
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Commits", "PartsError"]

_Audience = Sequence[str] | Callable[[EventChange], Sequence[str]]


class PartsError(StoreError):
    """Some groups cannot be saved, and so none was: ``causes`` says which and why; None stands for what all share."""

    def __init__(self, causes: Mapping[Group | None, Exception]) -> None:
        super().__init__(f"{len(causes)} parts of what was to be saved together cannot be saved")
        self.causes = causes


class Commits:
    """Saves to ``database``; ``now`` (Unix seconds) dates new deliveries."""

    _database: Database
    _now: Callable[[], float]

    def commit(
        self,
        monitor: str,
        group: Group,
        last_scored: pd.Timestamp | None,
        tracker_json: Mapping[str, Any] | None,
        changes: Sequence[EventChange],
        notifiers: _Audience,
    ) -> None:
        """Save a group's new state, its changes and a pending delivery per change and notifier: all or nothing.

        ``notifiers`` are the same for all changes, or a function of the change.
        Committing the same again changes nothing: a change is known by its key. None for ``last_scored`` or
        ``tracker_json`` keeps what is stored. Raises ``StoreError`` when the stored ``last_scored`` is newer: another
        process is scoring the same group, and one of the two would lose events.
        """
        with self._database.transaction() as connection:
            part = GroupCommit(group, changes, last_scored, tracker_json)
            self._commit_group(connection, monitor, part, notifiers)

    def commit_all(
        self, monitor: str, parts: Sequence[GroupCommit], shared: Sequence[EventChange], notifiers: _Audience
    ) -> None:
        """:meth:`commit` for several groups, and for changes that they ``share``, at once: all or nothing.

        Raises :class:`PartsError` when nothing but some of the parts stands in the way.
        """
        causes: dict[Group | None, Exception] = {}
        with self._database.transaction() as connection:
            for part in (*parts, None):
                try:
                    if part is not None:
                        self._commit_group(connection, monitor, part, notifiers)
                    else:
                        self._commit_changes(connection, shared, notifiers)
                except Exception as error:
                    if isinstance(error, sqlite3.Error) or isinstance(error.__cause__, sqlite3.Error):
                        raise  # it is the database that fails
                    causes[None if part is None else part.group] = error
            if causes:
                raise PartsError(causes)

    def saw(self, monitor: str, newest: Mapping[Group, pd.Timestamp]) -> None:
        """Keep the ``newest`` row with a value that was read of each group, where it is newer than what is stored.

        Groups that were never scored are passed over. One transaction at most, and none when nothing is newer, as when
        all rows read have been committed.
        """
        rows = self._database.read("SELECT labels, last_seen FROM groups WHERE monitor = ?", (monitor,))
        read = {labels_text(group): ns_of(time) for group, time in newest.items()}
        newer = [
            (read[labels], monitor, labels)
            for labels, last in rows
            if labels in read and (last is None or read[labels] > last)
        ]
        if newer:
            with self._database.transaction() as connection:
                connection.executemany("UPDATE groups SET last_seen = ? WHERE monitor = ? AND labels = ?", newer)

    def _commit_group(
        self, connection: sqlite3.Connection, monitor: str, part: GroupCommit, notifiers: _Audience
    ) -> None:
        labels, last = labels_text(part.group), None if part.last is None else ns_of(part.last)
        tracker = None if part.tracker is None else json.dumps(part.tracker, separators=(",", ":"))
        stored = connection.execute(
            "SELECT last_scored FROM groups WHERE monitor = ? AND labels = ?", (monitor, labels)
        ).fetchone()
        if last is not None and stored is not None and stored[0] is not None and stored[0] > last:
            raise StoreError(
                f"{self._database.path}: group {group_name(part.group)} of monitor {monitor} is already scored up to "
                f"{time_of(stored[0]).isoformat()}, later than {time_of(last).isoformat()}; "
                "run one tsdiff-monitor per storage path"
            )
        connection.execute(
            "INSERT INTO groups (monitor, labels, last_scored, first_scored, last_seen, tracker) "
            "VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (monitor, labels) DO UPDATE SET last_scored = coalesce(excluded.last_scored, last_scored),"
            " first_scored = coalesce(first_scored, excluded.first_scored),"
            " last_seen = max(coalesce(last_seen, excluded.last_seen), coalesce(excluded.last_seen, last_seen)),"
            " tracker = coalesce(excluded.tracker, tracker)",
            (monitor, labels, last, last, last, tracker),
        )
        self._commit_changes(connection, part.changes, notifiers)

    def _commit_changes(
        self, connection: sqlite3.Connection, changes: Sequence[EventChange], notifiers: _Audience
    ) -> None:
        for change in changes:
            self._commit_change(connection, change, notifiers(change) if callable(notifiers) else notifiers)

    def _commit_change(self, connection: sqlite3.Connection, change: EventChange, notifiers: Sequence[str]) -> None:
        event, key = change.event, (change.event.id, change.sequence)
        end = None if event.end is None else ns_of(event.end)
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
                ns_of(event.start),
                end,
                ns_of(event.last),
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
