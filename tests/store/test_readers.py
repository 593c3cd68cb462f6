"""Reading the state waits for no commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.store.changes import GROUP, MINUTE, T0, commit, make_change
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.database import Database


class Counted(sqlite3.Connection):
    """Keeps the connections that are open."""

    alive: set[int]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Counted.alive.add(id(self))

    def close(self) -> None:
        Counted.alive.discard(id(self))
        super().close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Counted.alive = set()
    with Store(tmp_path / "state.db", now=lambda: 1000.0, factory=Counted) as opened:
        yield opened


@pytest.fixture
def writing(store: Store) -> Iterator[Store]:
    """A store in which another thread holds a transaction open that has deleted everything."""
    commit(store, make_change(), at=3)
    begun, enough = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with store._database.transaction() as connection:
                connection.execute("DELETE FROM events")
                connection.execute("DELETE FROM groups")
                begun.set()
                enough.wait()
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    yield store
    enough.set()
    thread.join()


def test_a_read_does_not_wait_for_a_transaction(writing: Store) -> None:
    """It returns what is committed while another thread is writing."""
    assert writing.events() == [make_change().event]
    assert writing.counts() == {"pending": 1, "delivered": 0, "dead": 0}
    assert writing.group_state("hosts", GROUP).last_scored == T0 + MINUTE * 3
    assert [one.change for one in writing.undelivered()] == [make_change()]


def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    """Reads of the same thread within it go to the writer's connection; after a rollback they are gone."""
    commit(store, make_change())
    with pytest.raises(ValueError), store._database.transaction() as connection:
        connection.execute("DELETE FROM events")
        assert store.events() == []
        raise ValueError
    assert len(store.events()) == 1


def test_readers_cannot_write(store: Store) -> None:
    """A write that slips into a read changes nothing, and is an error."""
    commit(store, make_change())
    with pytest.raises(StoreError, match="cannot be written"):
        store._database.read("DELETE FROM events")
    assert len(store.events()) == 1


def test_readers_are_few_and_closed_with_the_store(store: Store) -> None:
    """As many connections as read at once, of which a few are kept; none after closing, nor a log beside the file."""
    together = threading.Barrier(8)
    readers = store._database._readers
    assert readers is not None

    def read() -> None:
        with readers.borrowed() as connection:
            together.wait()
            connection.execute("SELECT count(*) FROM events").fetchall()

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Counted.alive) == 1 + 4
    store.events()
    assert len(Counted.alive) == 1 + 4
    with readers.borrowed():
        store.close()
        assert len(Counted.alive) == 1
    assert Counted.alive == set()
    with pytest.raises(StoreError, match="closed"):
        store.events()


def test_a_closed_store_leaves_one_file(tmp_path: Path) -> None:
    """The writer is the last to close, and writes its log into the file."""
    with Store(tmp_path / "a folder?#%" / "state.db") as store:
        commit(store, make_change())
        assert len(store.events()) == 1
    assert [path.name for path in (tmp_path / "a folder?#%").iterdir()] == ["state.db"]


def test_a_reader_that_failed_is_replaced(tmp_path: Path) -> None:
    """An error of one read says what to do, and the next one works."""

    class Failing(sqlite3.Connection):
        failing = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if self.failing and sql.startswith("SELECT"):
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    with Store(tmp_path / "state.db", factory=Failing) as store:
        assert store.events() == []
        Failing.failing = True
        with pytest.raises(StoreError, match="disk I/O error"):
            store.events()
        Failing.failing = False
        assert store.events() == []


def test_without_readers_the_writer_reads(tmp_path: Path) -> None:
    """A database in memory has one connection only."""
    database = Database(Path(":memory:"), migrations=[["CREATE TABLE watched (monitor, first_scored)"]])
    with database.transaction() as connection:
        connection.execute("INSERT INTO watched VALUES ('hosts', 1)")
    assert database.read("SELECT * FROM watched") == [("hosts", 1)]
    database.close()
