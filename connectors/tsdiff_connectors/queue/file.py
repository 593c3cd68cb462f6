"""The file of a queue: who holds it, what is in it, and what happens when it is damaged.

A SQLite database in WAL mode (https://www.sqlite.org/wal.html). With ``synchronous=NORMAL`` a killed process loses
nothing; a machine that loses its power may lose the last moments, but is not left with a damaged file.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import structlog

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.system.database import Database

__all__ = ["QueueFile"]

T = TypeVar("T")

_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

_MIGRATIONS = (
    (
        """CREATE TABLE sources (
            source TEXT NOT NULL PRIMARY KEY,
            last_ms INTEGER NOT NULL,    -- time of the newest row taken
            touched REAL NOT NULL        -- Unix seconds
        ) WITHOUT ROWID""",
        """CREATE TABLE layouts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            digest BLOB NOT NULL UNIQUE,
            layout BLOB NOT NULL
        )""",
        """CREATE TABLE entries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            source TEXT NOT NULL,
            layout INTEGER NOT NULL REFERENCES layouts (id),
            times INTEGER NOT NULL,      -- how many
            samples INTEGER NOT NULL,    -- cells that are no gaps
            first_ms INTEGER NOT NULL,
            payload BLOB NOT NULL        -- times_ms as int64, then values[S, T] as float64, little-endian
        )""",
        "CREATE INDEX entries_by_time ON entries (first_ms, id)",
        "CREATE TABLE sending (id INTEGER PRIMARY KEY)",  # the entries that were, or were to be, sent
    ),
)

_log = structlog.get_logger(__name__)


class QueueFile:
    """The database at ``path`` (None: in memory), opened at its first use and then given to ``opened``.

    ``now`` gives Unix seconds, for the name of a damaged file; ``factory`` is the connection class.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        now: Callable[[], float],
        opened: Callable[[Database], None],
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self.path = path
        self._now = now
        self._opened = opened
        self._factory = factory
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._claim: IO[str] | None = None
        self._closed = False

    def use(self, work: Callable[[Database], T]) -> T:
        """``work`` with the database, one caller at a time, and once more when a damaged file had to be moved aside.

        Raises ``StoreError``.
        """
        with self._lock:
            try:
                return work(self._open())
            except StoreError as error:
                if self.path is None or getattr(error.__cause__, "sqlite_errorname", "") not in _DAMAGED:
                    raise
                self._set_aside(self.path)
                return work(self._open())

    def close(self) -> None:
        """Release the file for good; safe to call twice."""
        with self._lock:
            self._closed = True
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._claim is not None:
                self._claim.close()
                self._claim = None

    def _open(self) -> Database:
        if self._closed:
            raise StoreError(f"{self.path or 'the queue'}: is closed")
        if self._database is None:
            if self.path is not None and self._claim is None:
                self._claim = _claimed(self.path)
            path = Path(":memory:") if self.path is None else self.path
            self._database = Database(path, factory=self._factory, migrations=_MIGRATIONS)
            self._database.read("PRAGMA synchronous = NORMAL")
            self._opened(self._database)
        return self._database

    def _set_aside(self, path: Path) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        aside = path.with_name(f"{path.name}.damaged-{int(self._now())}")
        try:
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: is damaged, and cannot be moved aside ({error.strerror})") from error
        _log.error("damaged queue moved aside; what waited in it is lost", queue=str(path), moved_to=str(aside))


def _claimed(path: Path) -> IO[str]:
    """Hold the queue for this writer; the system lets go of it however the process ends."""
    lock = path.with_name(path.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        claim = lock.open("w")
    except OSError as error:
        raise StoreError(f"{path}: the queue cannot be kept here ({error.strerror}); choose another place") from None
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        raise StoreError(f"{path}: is another writer's queue; give each writer a `queue_path` of its own") from None
    return claim
