"""Read-only connections, so that looking at the state waits for no commit, and no commit for a look.

In WAL mode a reader sees what was committed when it begins, also while something else is being written.
https://www.sqlite.org/wal.html#concurrency
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ReadConnections"]


class ReadConnections:
    """Connections to the database at ``path``, one for each read under way; at most ``kept`` stay open unused.

    ``busy_timeout`` and ``factory`` as for :class:`~tsdiff_monitor.system.database.Database`. Raises ``sqlite3.Error``.
    """

    def __init__(self, path: Path, *, kept: int, busy_timeout: float, factory: type[sqlite3.Connection]) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._kept = kept
        self._busy_timeout = busy_timeout
        self._factory = factory
        self._lock = threading.Lock()
        self._unused: list[sqlite3.Connection] = []

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection for one read; after an error it is not used again."""
        with self._lock:
            connection = self._unused.pop() if self._unused else None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._unused) < self._kept:
                self._unused.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is unused, and every other connection when its read ends."""
        with self._lock:
            self._kept = 0
            unused, self._unused = self._unused, []
        for connection in unused:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=self._factory,
        )
        try:
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection
