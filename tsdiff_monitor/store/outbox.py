"""The outbox half of the store: which deliveries are due, and what became of them."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Receipt
from tsdiff_monitor.store.columns import ns_of
from tsdiff_monitor.store.records import Delivery, Undelivered
from tsdiff_monitor.store.schema import UNTIL
from tsdiff_monitor.system.database import Database

__all__ = ["Outbox"]

_OVERTAKEN = (
    "EXISTS (SELECT 1 FROM deliveries l WHERE l.event_id = d.event_id AND l.notifier = d.notifier "
    "AND l.sequence > d.sequence AND l.status = 'delivered')"
)


class Outbox:
    """Deliveries and receipts in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: float, limit: int, *, skip: Collection[str] = (), horizon: float = math.inf) -> list[Delivery]:
        """Deliveries to attempt, new ones first, without those of the notifiers in ``skip``.

        A later change of an event is not due before the same notifier's earlier ones are delivered or dead. What would
        have to wait more than ``horizon`` seconds is due at once: the clock was put back since that time was set.
        """
        rows = self._database.read(
            "SELECT d.id, d.notifier, c.body, d.attempts, d.created, d.next_attempt FROM deliveries d "
            "JOIN changes c ON c.event_id = d.event_id AND c.sequence = d.sequence "
            "WHERE d.status = 'pending' AND (d.next_attempt <= ? OR d.next_attempt > ?) "
            "AND d.notifier NOT IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.event_id = d.event_id AND e.notifier = d.notifier "
            "AND e.sequence < d.sequence AND e.status = 'pending') ORDER BY d.next_attempt, d.id LIMIT ?",
            (now, now + horizon, json.dumps(sorted(skip)), limit),
        )
        return [
            Delivery(name, notifier, EventChange.from_json(json.loads(body)), attempts, created, next_attempt)
            for name, notifier, body, attempts, created, next_attempt in rows
        ]

    def mark_delivered(self, delivery_id: int, now: float, receipt: Receipt | None = None) -> None:
        """The notifier has taken it; ``receipt`` is what it wants to be given with the event's next change."""
        with self._database.transaction() as connection:
            if receipt is not None:
                connection.execute(
                    "INSERT INTO receipts (event_id, notifier, body) "
                    "SELECT event_id, notifier, ? FROM deliveries WHERE id = ? "
                    "ON CONFLICT (event_id, notifier) DO UPDATE SET body = excluded.body",
                    (json.dumps(dict(receipt)), delivery_id),
                )
            _mark(connection, "status = 'delivered', finished = ?, reason = NULL, message = NULL", (now,), delivery_id)

    def receipt(self, event_id: str, notifier: str) -> dict[str, str] | None:
        """The receipt that the notifier's newest delivery about the event returned."""
        rows = self._database.read(
            "SELECT body FROM receipts WHERE event_id = ? AND notifier = ?", (event_id, notifier)
        )
        return dict(json.loads(rows[0][0])) if rows else None

    def notified(self, event_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Notifiers that got each of the events since it is open, or are about to, in the order of first deliveries.

        Events without any delivery are left out.
        """
        rows = self._database.read(
            "SELECT d.event_id, d.notifier FROM deliveries d WHERE d.event_id IN (SELECT value FROM json_each(?1)) "
            "AND d.sequence > coalesce((SELECT max(c.sequence) FROM changes c WHERE c.event_id = d.event_id "
            "AND json_extract(c.body, '$.change') = 'resolved'), -1) "
            "GROUP BY d.event_id, d.notifier ORDER BY min(d.id)",
            (json.dumps(list(event_ids)),),
        )
        found: dict[str, list[str]] = {}
        for event, name in rows:
            found.setdefault(event, []).append(name)
        return {event: tuple(names) for event, names in found.items()}

    def latest_delivered(self, notifier: str, resolved_after: pd.Timestamp) -> list[EventChange]:
        """The newest change that the notifier took, of each event that is open or ended after ``resolved_after``.

        Of an event whose resolution it has not taken yet, that is a change of while it was open.
        """
        rows = self._database.read(
            f"SELECT c.body FROM (SELECT id, start FROM events WHERE {UNTIL} > ?) e "  # noqa: S608 - only constants
            "JOIN changes c ON c.event_id = e.id AND c.sequence = (SELECT max(d.sequence) FROM deliveries d "
            "WHERE d.event_id = e.id AND d.notifier = ? AND d.status = 'delivered') ORDER BY +e.start, e.id",
            (ns_of(resolved_after), notifier),
        )
        return [EventChange.from_json(json.loads(body)) for (body,) in rows]

    def mark_failed(self, delivery_id: int, now: float, next_attempt: float, reason: str, message: str) -> None:
        """An attempt at ``now`` failed; it is due again at ``next_attempt``."""
        self._change(
            "next_attempt = ?, reason = ?, message = ?", (max(next_attempt, now), reason, message), delivery_id
        )

    def mark_dead(self, delivery_id: int, now: float, reason: str, message: str) -> None:
        """Given up; kept with its reason until :meth:`prune`."""
        self._change("status = 'dead', finished = ?, reason = ?, message = ?", (now, reason, message), delivery_id)

    def extend_deadlines(self, seconds: float, now: float) -> None:
        """Make what is pending no older for a clock, now at ``now``, that was put forward by so many seconds."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET created = created + ?1 WHERE status = 'pending' AND created <= ?2 - ?1",
                (seconds, now),
            )

    def undelivered(self, *, only_dead: bool = False) -> list[Undelivered]:
        """Deliveries that are pending or dead, oldest first."""
        rows = self._database.read(
            "SELECT d.id, d.status, d.notifier, c.body, d.attempts, d.created, d.next_attempt, d.finished, "  # noqa: S608
            f"d.reason, d.message, {_OVERTAKEN} FROM deliveries d "
            "JOIN changes c ON c.event_id = d.event_id AND c.sequence = d.sequence "
            "WHERE d.status <> 'delivered' AND (d.status = 'dead' OR NOT ?) ORDER BY d.created, d.id",
            (only_dead,),
        )
        return [
            Undelivered(
                id=row[0],
                status=row[1],
                notifier=row[2],
                change=EventChange.from_json(json.loads(row[3])),
                attempts=row[4],
                created=row[5],
                next_attempt=row[6],
                finished=row[7],
                reason=row[8],
                message=row[9],
                overtaken=bool(row[10]),
            )
            for row in rows
        ]

    def put_back(self, now: float, delivery_ids: Collection[int] | None = None) -> int:
        """Make dead deliveries (None: all) pending once more, as if committed at ``now``; returns how many.

        Not those of an event of which the notifier has taken a later change: order would be lost, and an alarm that is
        over might be raised again.
        """
        chosen = None if delivery_ids is None else json.dumps(sorted(delivery_ids))
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE deliveries AS d SET status = 'pending', attempts = 0, created = ?1, "  # noqa: S608
                "next_attempt = 0, "
                "finished = NULL WHERE status = 'dead' AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) "
                f"AND NOT {_OVERTAKEN}",
                (now, chosen),
            ).rowcount

    def dead_letters(self) -> dict[str, int]:
        """Number of each notifier's deliveries that were given up and can be put back; one with none is left out."""
        rows = self._database.read(
            "SELECT d.notifier, count(*) FROM deliveries d "  # noqa: S608 - only constants
            f"WHERE d.status = 'dead' AND NOT {_OVERTAKEN} GROUP BY d.notifier"
        )
        return dict(rows)

    def counts(self) -> dict[str, int]:
        """Numbers of deliveries that are ``pending``, ``delivered`` and ``dead``."""
        totals = dict(self._database.read("SELECT status, deliveries FROM totals"))
        return {status: totals[status] for status in ("pending", "delivered", "dead")}

    def _change(self, assignments: str, values: tuple[Any, ...], delivery_id: int) -> None:
        with self._database.transaction() as connection:
            _mark(connection, assignments, values, delivery_id)


def _mark(connection: sqlite3.Connection, assignments: str, values: tuple[Any, ...], delivery_id: int) -> None:
    connection.execute(
        f"UPDATE deliveries SET attempts = attempts + 1, {assignments} "  # noqa: S608 - only constants
        "WHERE id = ? AND status = 'pending'",
        (*values, delivery_id),
    )
