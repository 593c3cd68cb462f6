"""Rows that wait to be written, kept on disk in order until the target has taken it.

Rows and the time up to which each source has been taken are one transaction of a SQLite database. The layouts of series
are kept once, so that a row of a group costs little more than its numbers.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tsdiff_connectors.queue.file import QueueFile
from tsdiff_connectors.queue.pieces import cut, joined, packed, unpacked
from tsdiff_connectors.queue.series import ScoreRows
from tsdiff_monitor.system.database import Database

__all__ = ["Head", "Put", "Waiting", "WriteQueue"]

_MAX_ENTRIES = 5_000
_DAY = 86_400
_FORGOTTEN_AFTER = 30 * _DAY
"""A source that wrote nothing for so long is forgotten; should it come back, old rows would be taken once more."""
_VACUUM_PAGES = 16_384


@dataclass(frozen=True, slots=True)
class Put:
    """Outcome of adding rows: how many samples were taken, and how many older ones dropped to make room."""

    samples: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Samples that wait, bytes that the queue takes up (never quite none), and the time of the oldest row in ms."""

    samples: int
    used_bytes: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest rows, of different series, by layout number.

    ``again``: they were given out before, also before a restart, and so may have been written already. ``file``
    distinguishes files, of which there is a new one after damage.
    """

    file: int
    samples: int
    again: bool
    rows: dict[int, ScoreRows]


class WriteQueue:
    """A bounded queue in the file ``path`` (None: in memory). Thread-safe; opened at its first use.

    Beyond ``max_bytes`` the oldest entries go. A damaged file is moved aside, and a new queue begun. ``now`` gives Unix
    seconds, ``factory`` is the connection class. Every method may raise ``StoreError``.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        max_bytes: int,
        now: Callable[[], float],
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._now = now
        self._number = 0
        self._samples = 0
        self._sending = False
        self._tidied = 0.0
        self._file = QueueFile(path, now=now, opened=self._opened, factory=factory)

    @property
    def samples(self) -> int:
        """Number of samples that wait, as far as is known without opening the file."""
        return self._samples

    def put(self, rows: ScoreRows) -> Put:
        """Take those rows that are newer than all of their source before."""
        return self._file.use(lambda database: self._put(database, rows))

    def head(self, max_samples: int) -> Head | None:
        """The oldest rows, of about ``max_samples`` together; None when nothing waits.

        They go by their time, in any order of writing: Prometheus takes nothing that is an hour older than its newest
        sample of any series. Until they are settled the same ones are given out again, also when more have come since.
        """
        return self._file.use(lambda database: self._head(database, max_samples))

    def settle(self, head: Head) -> None:
        """Forget the entries of ``head``: they have been written, or will never be."""

        def settle(database: Database) -> None:
            if head.file != self._number:
                return
            with database.transaction() as connection:
                connection.execute("DELETE FROM entries WHERE id IN (SELECT id FROM sending)")
                connection.execute("DELETE FROM sending")
            self._samples -= head.samples
            self._sending = False
            self._tidy(database)

        self._file.use(settle)

    def release(self) -> None:
        """Let the next head be chosen anew: nothing of the one given out has been written."""

        def release(database: Database) -> None:
            with database.transaction() as connection:
                connection.execute("DELETE FROM sending")
            self._sending = False

        self._file.use(release)

    def waiting(self) -> Waiting:
        """Samples and bytes that wait, and the time of the oldest row."""

        def waiting(database: Database) -> Waiting:
            with database.transaction() as connection:
                oldest = connection.execute("SELECT first_ms FROM entries ORDER BY first_ms LIMIT 1").fetchone()
                return Waiting(self._samples, _used_bytes(connection), oldest and oldest[0])

        return self._file.use(waiting)

    def close(self) -> None:
        """Release the file; safe to call twice. Nothing can be done with the queue after that."""
        self._file.close()

    def _opened(self, database: Database) -> None:
        self._number += 1
        ((self._samples,),) = database.read("SELECT coalesce(sum(samples), 0) FROM entries")
        self._sending = bool(database.read("SELECT id FROM sending LIMIT 1"))

    def _put(self, database: Database, rows: ScoreRows) -> Put:
        with database.transaction() as connection:
            found = connection.execute("SELECT last_ms FROM sources WHERE source = ?", (rows.source,)).fetchone()
            fresh = rows if found is None else rows.rows(rows.times_ms > found[0])
            if len(fresh):
                connection.execute(
                    "INSERT INTO sources VALUES (?, ?, ?) ON CONFLICT (source) DO UPDATE "
                    "SET last_ms = excluded.last_ms, touched = excluded.touched",
                    (rows.source, int(fresh.times_ms[-1]), self._now()),
                )
            samples = fresh.samples
            if samples:
                self._insert(connection, fresh)
            dropped = self._make_room(connection)
        self._samples += samples - dropped
        return Put(samples, dropped)

    def _insert(self, connection: sqlite3.Connection, rows: ScoreRows) -> None:
        digest = hashlib.sha256(rows.layout).digest()
        connection.execute("INSERT OR IGNORE INTO layouts (digest, layout) VALUES (?, ?)", (digest, rows.layout))
        (layout,) = connection.execute("SELECT id FROM layouts WHERE digest = ?", (digest,)).fetchone()
        connection.executemany(
            "INSERT INTO entries (source, layout, times, samples, first_ms, payload) VALUES (?, ?, ?, ?, ?, ?)",
            ((one.source, layout, len(one), one.samples, int(one.times_ms[0]), packed(one)) for one in cut(rows)),
        )

    def _make_room(self, connection: sqlite3.Connection) -> int:
        """Drop the oldest entries that are not being sent until the queue fits; the number of samples dropped."""
        dropped = 0
        while _used_bytes(connection) > self._max_bytes:
            oldest = connection.execute(
                "SELECT id, samples FROM entries WHERE id NOT IN (SELECT id FROM sending) "
                "ORDER BY first_ms, id LIMIT 64"
            ).fetchall()
            if not oldest:
                break
            connection.executemany("DELETE FROM entries WHERE id = ?", [(entry,) for entry, _ in oldest])
            dropped += sum(samples for _, samples in oldest)
        return dropped

    def _head(self, database: Database, max_samples: int) -> Head | None:
        again = self._sending
        if not again:
            chosen = self._oldest(database, max_samples)
            if not chosen:
                return None
            with database.transaction() as connection:
                connection.executemany("INSERT INTO sending VALUES (?)", [(entry,) for entry in chosen])
            self._sending = True
        query = (
            "SELECT source, layout, times, samples, payload FROM entries "
            "WHERE id IN (SELECT id FROM sending) ORDER BY first_ms, id"
        )
        pieces: dict[int, list[ScoreRows]] = {}
        total = 0
        for source, number, times, samples, payload in database.read(query):
            known = pieces.setdefault(number, [])
            layout = known[0].layout if known else self._layout(database, number)
            known.append(unpacked(source, layout, times, payload))
            total += samples
        return Head(self._number, total, again, {number: joined(found) for number, found in pieces.items()})

    def _oldest(self, database: Database, max_samples: int) -> list[int]:
        """The entries that go together, at least one where there is any."""
        chosen: list[int] = []
        samples = 0
        layouts: dict[str, int] = {}
        query = "SELECT id, source, layout, samples FROM entries ORDER BY first_ms, id LIMIT ?"
        for entry, source, layout, count in database.read(query, (_MAX_ENTRIES,)):
            # A source whose series changed may have the same series in both layouts: first the one, then the other.
            if chosen and (samples + count > max_samples or layouts.get(source, layout) != layout):
                break
            layouts[source] = layout
            chosen.append(entry)
            samples += count
        return chosen

    def _layout(self, database: Database, number: int) -> bytes:
        ((layout,),) = database.read("SELECT layout FROM layouts WHERE id = ?", (number,))
        return bytes(layout)

    def _tidy(self, database: Database) -> None:
        """Once a day, forget what is not needed any more, and give disk space back after a long outage."""
        if self._now() - self._tidied < _DAY:
            return
        self._tidied = self._now()
        with database.transaction() as connection:
            connection.execute("DELETE FROM layouts WHERE id NOT IN (SELECT layout FROM entries)")
            connection.execute("DELETE FROM sources WHERE touched < ?", (self._now() - _FORGOTTEN_AFTER,))
        ((free,),) = database.read("PRAGMA freelist_count")
        if free > _VACUUM_PAGES:
            database.read("VACUUM")


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
