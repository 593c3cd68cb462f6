"""Events and their history: the part of the store that is asked about what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

import pandas as pd

from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.store.columns import labels_text, ns_of
from tsdiff_monitor.store.schema import UNTIL
from tsdiff_monitor.system.database import Database
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["EventLog"]

_Conditions = list[tuple[str, Any]]


class EventLog:
    """Events in ``database``."""

    _database: Database

    def events(
        self,
        monitor: str | None = None,
        state: Literal["open", "resolved"] | None = None,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        limit: int | None = None,
        *,
        group: Group | None = None,
    ) -> list[Event]:
        """The events that overlap ``start <= t < end``, newest start first; arguments left out do not restrict.

        Of a ``group``: its own events, and the incidents that these are members of.
        """
        narrow = start is not None or group is not None  # then sorting is cheap, and other look-ups are better
        first = "+start" if narrow else "start"  # the sign keeps SQLite from reading all events in this order
        ids, values = _of_group(group, monitor, start) if group is not None else ("", [])
        sign = "+" if ids else ""
        wanted: _Conditions = [
            (f"{sign}monitor = ?", monitor),
            (f"{sign}state = ?", state),
            (f"{sign}{UNTIL} > ?", None if start is None else ns_of(start)),
            (f"{first} < ?", None if end is None else ns_of(end)),
        ]
        given = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join([*([ids] if ids else []), *(condition for condition, _ in given)]) or "TRUE"
        rows = self._database.read(
            f"SELECT body FROM events WHERE {where} ORDER BY {first} DESC, id LIMIT ?",  # noqa: S608 - only constants
            (*values, *(value for _, value in given), -1 if limit is None else limit),
        )
        return [Event.from_json(json.loads(body)) for (body,) in rows]

    def event(self, event_id: str) -> Event | None:
        """One event as its newest change left it; None when there is none of this id."""
        rows = self._database.read("SELECT body FROM events WHERE id = ?", (event_id,))
        return Event.from_json(json.loads(rows[0][0])) if rows else None

    def find_events(self, beginning: str) -> list[str]:
        """The ids that begin so, sorted."""
        if not beginning.isascii():  # no id has other characters, and not all of them can be looked for
            return []
        rows = self._database.read(
            "SELECT id FROM events WHERE id >= ?1 AND id < ?1 || char(0x10ffff) ORDER BY id", (beginning,)
        )
        return [found for (found,) in rows]

    def changes(self, event_id: str) -> list[EventChange]:
        """An event's history, oldest first."""
        rows = self._database.read("SELECT body FROM changes WHERE event_id = ? ORDER BY sequence", (event_id,))
        return [EventChange.from_json(json.loads(body)) for (body,) in rows]

    def sequences(self, event_ids: Iterable[str]) -> dict[str, int]:
        """The number of the newest change of each of the events that have one."""
        rows = self._database.read(
            "SELECT event_id, max(sequence) FROM changes WHERE event_id IN (SELECT value FROM json_each(?)) "
            "GROUP BY event_id",
            (json.dumps(list(event_ids)),),
        )
        return dict(rows)

    def count_unclear(self, monitor: str, start: pd.Timestamp, end: pd.Timestamp) -> int:
        """The number of events, incidents aside, that began in ``start <= t < end`` and were called false or nothing.

        What was said of an incident holds for those of its members of which nothing was said.
        """
        rows = self._database.read(
            "SELECT count(*) FROM events e LEFT JOIN feedback f ON f.event_id = e.id "
            "WHERE e.monitor = ?1 AND e.start >= ?2 AND e.start < ?3 AND NOT e.incident "
            'AND (e."end" IS NULL OR e."end" > ?2) AND coalesce(f.verdict, (SELECT g.verdict FROM incident_members m '
            "JOIN feedback g ON g.event_id = m.incident_id JOIN events i ON i.id = m.incident_id "
            'WHERE m.event_id = e.id AND i.start < ?3 AND (i."end" IS NULL OR i."end" > ?2) '
            "ORDER BY i.start, i.id DESC LIMIT 1), 'false') = 'false'",
            (monitor, ns_of(start), ns_of(end)),
        )
        return int(rows[0][0])


def _of_group(group: Group, monitor: str | None, start: pd.Timestamp | None) -> tuple[str, list[Any]]:
    """A condition on ``id`` and its values: events of the group, and incidents that they are members of."""
    wanted: _Conditions = [
        ("labels = ?", labels_text(group)),
        ("monitor = ?", monitor),
        (f"{UNTIL} > ?", None if start is None else ns_of(start)),
    ]
    given = [(condition, value) for condition, value in wanted if value is not None]
    own = " AND ".join(condition for condition, _ in given)
    return (
        f"id IN (WITH own AS (SELECT id FROM events WHERE {own}) SELECT id FROM own "  # noqa: S608 - only constants
        "UNION SELECT m.incident_id FROM own JOIN incident_members m ON m.event_id = own.id)"
    ), [value for _, value in given]
