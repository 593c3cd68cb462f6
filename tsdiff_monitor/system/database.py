"""One SQLite connection that writes, shared by threads under a lock, and others that read; errors say what to do.

WAL with ``synchronous=FULL``: a committed transaction survives a crash of the process and of the machine.
https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.system.migrations import Migration, migrate
from tsdiff_monitor.system.read_connections import ReadConnections

__all__ = ["Database"]

_WAL_ATTEMPTS = 10
_DAMAGED = "is damaged or not a database; move it away to start afresh, or restore a copy"
_REMEDIES = {
    "SQLITE_BUSY": "is locked by another process; run one tsdiff-monitor per storage path",
    "SQLITE_LOCKED": "is locked by another process; run one tsdiff-monitor per storage path",
    "SQLITE_FULL": "cannot grow: the disk is full; free some space",
    "SQLITE_READONLY": "cannot be written; give this user write permission on the file and its directory",
    "SQLITE_PERM": "cannot be opened; give this user permission on the file and its directory",
    "SQLITE_CANTOPEN": "cannot be opened; check that it is a file in a directory this user may write to",
    "SQLITE_IOERR": "cannot be read or written; check the disk and the free space",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CORRUPT": _DAMAGED,
}


class Database:
    """Opens or creates the file at ``path`` (its directory included) and brings its schema up to date.

    ``factory`` is the connection class (:func:`sqlite3.connect`), ``busy_timeout`` the seconds to wait for a lock.
    ``readers``: so many read-only connections are kept open for reads; with 0, those take turns with what is written.
    Raises ``StoreError``, here and in every method.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Migration],
        busy_timeout: float = 5.0,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
        readers: int = 0,
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._writing: int | None = None  # the thread within a transaction
        self._readers = (
            ReadConnections(path, kept=readers, busy_timeout=busy_timeout, factory=factory) if readers else None
        )
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path.parent}: cannot be made into a directory for the store ({error.strerror})"
            ) from None
        with self._translated():
            self._connection = sqlite3.connect(
                path, timeout=busy_timeout, isolation_level=None, check_same_thread=False, factory=factory
            )
        try:
            with self._translated():
                _use_wal(self._connection)
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("PRAGMA foreign_keys = ON")
            with self.transaction() as connection:
                migrate(connection, str(path), migrations)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything executed within happens whole or not at all; other threads and processes wait."""
        with self._lock, self._translated():
            connection = self._open()
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._writing = threading.get_ident()
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._writing = None

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query: of what is committed, and within a transaction of this thread also of what is not."""
        if self._readers is None or self._writing == threading.get_ident():
            with self._lock, self._translated():
                return self._open().execute(sql, parameters).fetchall()
        with self._translated():
            self._open()
            with self._readers.borrowed() as connection:
                return connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Release the file; safe to call twice."""
        with self._lock, self._translated():
            if self._readers is not None:
                self._readers.close()  # first: the last connection to close tidies up the file, and must be able to
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path}: the store is closed")
        return self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            known = [remedy for code, remedy in _REMEDIES.items() if name == code or name.startswith(f"{code}_")]
            raise StoreError(f"{self.path}: {known[0] if known else 'the database failed'} ({error})") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    for _ in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            # alone among statements this switch does not wait for a lock: wait with an empty transaction instead
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode = WAL")
