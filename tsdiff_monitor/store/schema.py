"""The tables, and how an older store becomes a newer one.

``PRAGMA user_version`` counts the migrations that a file has seen, ``PRAGMA application_id`` tells our files from
other databases. A migration, once released, is never edited: append another.
https://www.sqlite.org/pragma.html#pragma_user_version
"""

from __future__ import annotations

import sqlite3

from tsdiff_monitor.errors import StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate"]

APPLICATION_ID = 0x74734466  # "tsDf"

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

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _RECEIPTS_AND_FEEDBACK, _LAST_SEEN)
"""Entry ``n`` turns a store of version ``n`` into one of version ``n + 1``."""


def migrate(connection: sqlite3.Connection, where: str, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring a store up to date; call it within a transaction, so that it happens whole or not at all.

    Raises ``StoreError`` for a newer store and for a database of another program.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (tables or owner or version):
        raise StoreError(f"{where}: is a database of another program; give tsdiff-monitor a storage path of its own")
    if version > len(migrations):
        raise StoreError(
            f"{where}: was written by a newer tsdiff-monitor (schema {version}, this one knows {len(migrations)}); "
            "upgrade tsdiff-monitor, or start with an empty settings.storage_path"
        )
    if owner == APPLICATION_ID and version == len(migrations):
        return
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
