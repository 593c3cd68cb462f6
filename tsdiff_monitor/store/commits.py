"""The commit of a tick: groups' states, their events' changes and pending deliveries, in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.store.columns import labels_text, ns_of, time_of
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.system.database import Database
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Commits", "PartsError"]

_WRITTEN = (
    "UPDATE groups SET last_written = ?1 WHERE monitor = ?2 AND labels = ?3 AND coalesce(last_written < ?1, TRUE)"
)
_UPSERT = (
    "INSERT INTO groups (monitor, labels, last_scored, first_scored, last_seen, tracker, last_written) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (monitor, labels) DO UPDATE SET last_scored = coalesce(excluded.last_scored, last_scored),"
    " first_scored = coalesce(first_scored, excluded.first_scored),"
    " last_seen = max(coalesce(last_seen, excluded.last_seen), coalesce(excluded.last_seen, last_seen)),"
    " tracker = coalesce(excluded.tracker, tracker),"
    " last_written = coalesce(last_written, excluded.last_written)"
)


class PartsError(StoreError):
    """Some groups cannot be saved, and so none was: ``causes`` says which and why; None stands for what all share."""

    def __init__(self, causes: Mapping[Group | None, Exception]) -> None:
        super().__init__(f"{len(causes)} parts of what was to be saved together cannot be saved")
        self.causes = causes


class Commits:
    """Saves to ``database``; ``now`` (Unix seconds) dates new deliveries."""

    _database: Database
    _now: Callable[[], float]

    def commit_tick(self, commit: TickCommit) -> None:
        """Save all that a tick leaves, with a pending delivery for each change and recipient: all or nothing.

        Committing the same again changes nothing: a change is known by its key. None for a part's ``last`` or
        ``tracker`` keeps what is stored. Groups that were never scored are not ``seen``. Raises :class:`PartsError`
        when nothing but some of the parts prevents the commit, among them groups whose stored ``last_scored`` is newer:
        another process is scoring them, and one of the two would lose events.
        """
        if not (commit.parts or commit.shared or self._has_news(commit)):
            return
        causes: dict[Group | None, Exception] = {}
        with self._database.transaction() as connection:
            stored = _stored(connection, commit.monitor)
            rows = []
            for part in commit.parts:
                try:
                    rows.append(self._row(commit, part, stored))
                    self._save_changes(connection, part.changes, commit.recipients)
                except Exception as error:
                    _raise_of_database(error)
                    causes[part.group] = error
            try:
                self._save_changes(connection, commit.shared, commit.recipients)
            except Exception as error:
                _raise_of_database(error)
                causes[None] = error
            if causes:
                raise PartsError(causes)
            connection.executemany(_UPSERT, rows)
            connection.executemany(_WRITTEN, _written(commit.monitor, commit.written))
            known = stored.keys() | {row[1] for row in rows if row[2] is not None}
            connection.executemany(
                "UPDATE groups SET last_seen = ?1 WHERE monitor = ?2 AND labels = ?3 AND "
                "last_seen IS NOT NULL AND last_seen < ?1",
                [
                    (ns_of(time), commit.monitor, labels)
                    for group, time in commit.seen.items()
                    if (labels := labels_text(group)) in known
                ],
            )

    def mark_written(self, monitor: str, written: Mapping[Group, pd.Timestamp]) -> None:
        """Keep the newest row of each group whose scores the monitor's writers have."""
        if written:
            with self._database.transaction() as connection:
                connection.executemany(_WRITTEN, _written(monitor, written))

    def commit(
        self,
        monitor: str,
        group: Group,
        last_scored: pd.Timestamp | None,
        tracker_json: Mapping[str, Any] | None,
        changes: Sequence[EventChange],
        notifiers: Sequence[str],
    ) -> None:
        """:meth:`commit_tick` for one group, all of whose changes go to the same ``notifiers``."""
        part = GroupCommit(group, changes, last_scored, tracker_json)
        try:
            self.commit_tick(TickCommit(monitor, [part], recipients={change.key: notifiers for change in changes}))
        except PartsError as error:
            raise error.causes[group] from None

    def _has_news(self, commit: TickCommit) -> bool:
        """True if a newer row was read of a group than is stored."""
        seen = {labels_text(group): ns_of(time) for group, time in commit.seen.items()}
        rows = self._database.read(
            "SELECT labels, last_seen FROM groups WHERE monitor = ? AND last_seen IS NOT NULL", (commit.monitor,)
        )
        return any(seen.get(labels, last) > last for labels, last in rows)

    def _row(self, commit: TickCommit, part: GroupCommit, stored: Mapping[str, int | None]) -> tuple[Any, ...]:
        """The row of a group, as a parameter of ``_UPSERT``."""
        labels, last = labels_text(part.group), None if part.last is None else ns_of(part.last)
        newest = stored.get(labels)
        if last is not None and newest is not None and newest > last:
            raise StoreError(
                f"{self._database.path}: group {group_name(part.group)} of monitor {commit.monitor} is already scored "
                f"up to {time_of(newest).isoformat()}, later than {time_of(last).isoformat()}; "
                "run one tsdiff-monitor per storage path"
            )
        tracker = None if part.tracker is None else json.dumps(part.tracker, separators=(",", ":"))
        before = None if part.before is None else ns_of(part.before)
        return commit.monitor, labels, last, last, last, tracker, before

    def _save_changes(
        self,
        connection: sqlite3.Connection,
        changes: Sequence[EventChange],
        recipients: Mapping[str, Sequence[str]],
    ) -> None:
        for change in changes:
            self._save_change(connection, change, recipients.get(change.key, ()))

    def _save_change(self, connection: sqlite3.Connection, change: EventChange, notifiers: Sequence[str]) -> None:
        event, key = change.event, (change.event.id, change.sequence)
        end = None if event.end is None else ns_of(event.end)
        connection.execute(
            'INSERT INTO events (id, monitor, state, start, "end", last, sequence, labels, incident, body) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            'ON CONFLICT (id) DO UPDATE SET state = excluded.state, start = excluded.start, "end" = excluded."end", '
            "last = excluded.last, sequence = excluded.sequence, labels = excluded.labels, "
            "incident = excluded.incident, body = excluded.body "
            "WHERE excluded.sequence > sequence",
            (
                event.id,
                event.monitor,
                event.state,
                ns_of(event.start),
                end,
                ns_of(event.last),
                change.sequence,
                labels_text(event.group),
                bool(event.members),
                json.dumps(event.to_json()),
            ),
        )
        if event.members:  # a member never leaves its incident
            connection.execute(
                "INSERT INTO incident_members (event_id, incident_id) SELECT value, ? FROM json_each(?) WHERE TRUE "
                "ON CONFLICT DO NOTHING",
                (event.id, json.dumps([member.event for member in event.members])),
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


def _stored(connection: sqlite3.Connection, monitor: str) -> dict[str, int | None]:
    """The newest row scored of each stored group, by its labels."""
    return dict(connection.execute("SELECT labels, last_scored FROM groups WHERE monitor = ?", (monitor,)))


def _written(monitor: str, written: Mapping[Group, pd.Timestamp]) -> list[tuple[int, str, str]]:
    return [(ns_of(time), monitor, labels_text(group)) for group, time in written.items()]


def _raise_of_database(error: Exception) -> None:
    """Raise the error again where it is the database that fails, and no single part."""
    if isinstance(error, sqlite3.Error) or isinstance(error.__cause__, sqlite3.Error):
        raise error
