"""The tables of the state, and how an older store becomes a newer one. A migration, once released, is never edited."""

from __future__ import annotations

import json
import sqlite3

from tsdiff_monitor.store.columns import labels_text
from tsdiff_monitor.system.migrations import Migration

__all__ = ["MIGRATIONS", "UNTIL"]

UNTIL = 'coalesce("end", 9223372036854775807)'
"""An event's end, later than any time while it lasts; spelt as in the indexes, which are used only then."""

_FIRST = (
    """CREATE TABLE groups (
        monitor TEXT NOT NULL,
        labels TEXT NOT NULL,       -- JSON [[label, value], ...], sorted by label
        last_scored INTEGER,        -- nanoseconds since the epoch, as all event times here
        tracker TEXT,               -- JSON, TrackerState
        PRIMARY KEY (monitor, labels)
    ) WITHOUT ROWID""",
    """CREATE TABLE events (
        id TEXT NOT NULL PRIMARY KEY,
        monitor TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
        start INTEGER NOT NULL,
        "end" INTEGER,
        last INTEGER NOT NULL,
        sequence INTEGER NOT NULL,  -- of its newest change
        body TEXT NOT NULL          -- JSON, Event
    )""",
    "CREATE INDEX events_by_start ON events (start)",
    """CREATE TABLE changes (
        event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        body TEXT NOT NULL,         -- JSON, EventChange
        PRIMARY KEY (event_id, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        notifier TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
        attempts INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,      -- Unix seconds, as all delivery times here
        next_attempt REAL NOT NULL DEFAULT 0,
        finished REAL,
        reason TEXT,
        message TEXT,
        UNIQUE (event_id, notifier, sequence),
        FOREIGN KEY (event_id, sequence) REFERENCES changes (event_id, sequence) ON DELETE CASCADE
    )""",
    "CREATE INDEX deliveries_pending ON deliveries (next_attempt, id) WHERE status = 'pending'",
)

_RECEIPTS_AND_FEEDBACK = (
    """CREATE TABLE receipts (
        event_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        notifier TEXT NOT NULL,
        body TEXT NOT NULL,         -- JSON, what the notifier wants to be given again
        PRIMARY KEY (event_id, notifier)
    ) WITHOUT ROWID""",
    """CREATE TABLE feedback (
        event_id TEXT NOT NULL PRIMARY KEY REFERENCES events (id) ON DELETE CASCADE,
        verdict TEXT NOT NULL CHECK (verdict IN ('real', 'false', 'expected')),
        note TEXT NOT NULL,
        given REAL NOT NULL         -- Unix seconds
    ) WITHOUT ROWID""",
    "ALTER TABLE groups ADD COLUMN first_scored INTEGER",
    "UPDATE groups SET first_scored = last_scored",
)

_LAST_SEEN = (
    "ALTER TABLE groups ADD COLUMN last_seen INTEGER",  # the newest row with a value, scored or not
    "UPDATE groups SET last_seen = last_scored",
)


def _fill_labels(connection: sqlite3.Connection) -> None:
    """Set the columns of events that repeat what their bodies say."""

    def labels_of(body: str) -> str:
        return labels_text(tuple(sorted(json.loads(body)["group"].items())))

    connection.create_function("labels_of", 1, labels_of, deterministic=True)
    connection.execute(
        "UPDATE events SET labels = labels_of(body), incident = json_array_length(body, '$.members') IS NOT NULL"
    )


_LOOK_UPS = (
    # what queries need of an event, so that they need not read its body
    "ALTER TABLE events ADD COLUMN labels TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE events ADD COLUMN incident INTEGER NOT NULL DEFAULT 0",
    _fill_labels,
    """CREATE TABLE incident_members (
        event_id TEXT NOT NULL,     -- may be forgotten before the incident is
        incident_id TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        PRIMARY KEY (event_id, incident_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX members_by_incident ON incident_members (incident_id)",
    "INSERT INTO incident_members SELECT json_extract(m.value, '$.event'), e.id "
    "FROM events e, json_each(e.body, '$.members') m WHERE e.incident",
    "DROP INDEX events_by_start",
    "CREATE INDEX events_by_start ON events (start DESC, id)",
    "CREATE INDEX events_by_state ON events (state, start DESC, id)",
    'CREATE INDEX events_by_monitor ON events (monitor, start DESC, id, incident, "end")',
    "CREATE INDEX events_by_monitor_and_state ON events (monitor, state, start DESC, id)",
    f"CREATE INDEX events_by_end ON events ({UNTIL}, start, id)",
    f"CREATE INDEX events_by_monitor_and_end ON events (monitor, {UNTIL})",
    f"CREATE INDEX events_by_group ON events (labels, monitor, {UNTIL})",
    "CREATE INDEX events_over ON events (last) WHERE state = 'resolved'",
    "CREATE INDEX deliveries_dead ON deliveries (notifier, event_id, sequence) WHERE status = 'dead'",
    "CREATE INDEX deliveries_left ON deliveries (created, id) WHERE status <> 'delivered'",
    """CREATE TABLE totals (
        status TEXT NOT NULL PRIMARY KEY,
        deliveries INTEGER NOT NULL -- how many have this status
    ) WITHOUT ROWID""",
    "INSERT INTO totals VALUES ('pending', 0), ('delivered', 0), ('dead', 0)",
    "UPDATE totals SET deliveries = (SELECT count(*) FROM deliveries d WHERE d.status = totals.status)",
    """CREATE TRIGGER delivery_added AFTER INSERT ON deliveries BEGIN
        UPDATE totals SET deliveries = deliveries + 1 WHERE status = new.status;
    END""",
    """CREATE TRIGGER delivery_removed AFTER DELETE ON deliveries BEGIN
        UPDATE totals SET deliveries = deliveries - 1 WHERE status = old.status;
    END""",
    """CREATE TRIGGER delivery_moved AFTER UPDATE OF status ON deliveries WHEN new.status <> old.status BEGIN
        UPDATE totals SET deliveries = deliveries - 1 WHERE status = old.status;
        UPDATE totals SET deliveries = deliveries + 1 WHERE status = new.status;
    END""",
    "CREATE INDEX groups_by_first_scored ON groups (monitor, first_scored)",
    """CREATE TABLE watched (
        monitor TEXT NOT NULL PRIMARY KEY,
        first_scored INTEGER NOT NULL -- the earliest of the groups that are forgotten
    ) WITHOUT ROWID""",
)

_LAST_WRITTEN = (
    "ALTER TABLE groups ADD COLUMN last_written INTEGER",  # the newest row whose scores the writers have for sure
    "UPDATE groups SET last_written = last_scored",
)

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _RECEIPTS_AND_FEEDBACK, _LAST_SEEN, _LOOK_UPS, _LAST_WRITTEN)
"""Entry ``n`` turns a store of version ``n`` into one of version ``n + 1``."""
