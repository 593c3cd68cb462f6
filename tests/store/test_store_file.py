"""The file of the state database: opened, migrated, shared, and errors that help where it cannot be."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.store.changes import GROUP, MINUTE, T0, commit, make_change
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.store.columns import labels_text, ns_of
from tsdiff_monitor.store.schema import MIGRATIONS
from tsdiff_monitor.store.store import GroupState, Store
from tsdiff_monitor.system.database import Database


def test_a_new_store_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """The process that comes first creates the tables; the others wait for it."""
    failures: list[Exception] = []

    def work(path: Path) -> None:
        try:
            Store(path).close()
        except StoreError as error:
            failures.append(error)

    for n in range(5):
        threads = [threading.Thread(target=work, args=(tmp_path / f"{n}.db",)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    """Everything survives closing and opening again; a closed store says that it is closed."""
    store = Store(tmp_path / "state.db")
    commit(store, make_change(), at=3)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.counts()
    with Store(tmp_path / "state.db") as again:
        assert again.group_state("hosts", GROUP).last_scored == T0 + MINUTE * 3
        assert again.events() == [make_change().event] and again.counts()["pending"] == 1


def test_commits_are_synced_to_the_disk(tmp_path: Path) -> None:
    """The journal is a write-ahead log, synced at every commit, with foreign keys enforced."""
    database = Database(tmp_path / "state.db", migrations=MIGRATIONS)
    pragmas = [database.read(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
    database.close()
    assert pragmas == ["wal", 2, 1]


def test_older_stores_are_migrated(tmp_path: Path) -> None:
    """Opening applies the migrations that are missing, once, and keeps the data."""
    path = tmp_path / "state.db"
    with Store(path) as store:
        commit(store, make_change())
    later = (*MIGRATIONS, ("ALTER TABLE events ADD COLUMN note TEXT",))
    for _ in range(2):
        database = Database(path, migrations=later)
        assert database.read("PRAGMA user_version") == [(len(later),)]
        assert database.read("SELECT note FROM events") == [(None,)]
        database.close()


def test_groups_of_an_older_store_were_seen_when_they_were_scored(tmp_path: Path) -> None:
    """Rows read of them after the last row scored are not known; no group seems to have been gone."""
    path = tmp_path / "state.db"
    old = Database(path, migrations=MIGRATIONS[:2])
    with old.transaction() as connection:
        connection.execute(
            "INSERT INTO groups (monitor, labels, last_scored) VALUES ('hosts', ?, ?)", (labels_text(GROUP), ns_of(T0))
        )
    old.close()
    with Store(path) as store:
        assert {GROUP: store.group_state("hosts", GROUP).last_seen} == store.last_scored("hosts") == {GROUP: T0}


def test_a_failed_migration_leaves_the_old_store(tmp_path: Path) -> None:
    """A migration happens whole or not at all: the older version can still open the file."""
    path = tmp_path / "state.db"
    Store(path).close()
    with pytest.raises(StoreError):
        Database(path, migrations=(*MIGRATIONS, ("CREATE TABLE extra (a)", "CREATE NONSENSE")))
    with Store(path) as store:
        assert store.events() == []


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is left alone, and the message says to upgrade."""
    Database(tmp_path / "state.db", migrations=(*MIGRATIONS, ("CREATE TABLE extra (a)",))).close()
    with pytest.raises(StoreError, match=r"state\.db: was written by a newer tsdiff-monitor .*upgrade"):
        Store(tmp_path / "state.db")


def test_a_strangers_database_is_refused(tmp_path: Path) -> None:
    """A database of another program is not written to."""
    path = tmp_path / "grafana.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE dashboard (id INTEGER)")
    connection.close()
    with pytest.raises(StoreError, match="another program"):
        Store(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("dashboard",)]
    connection.close()


def test_a_path_below_a_file_is_explained(tmp_path: Path) -> None:
    """A directory that cannot be created is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*cannot be made into a directory"):
        Store(tmp_path / "file" / "state.db")


def test_a_directory_in_place_of_the_file_is_explained(tmp_path: Path) -> None:
    """A path that SQLite cannot open is an error with a remedy."""
    with pytest.raises(StoreError, match="cannot be opened; check that it is a file"):
        Store(tmp_path)


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    """Damage is reported with the way out, and the file is left as it is."""
    path = tmp_path / "state.db"
    path.write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="damaged or not a database; move it away"):
        Store(path)
    assert path.read_text().startswith("not a database")


def test_a_locked_store_is_explained(tmp_path: Path) -> None:
    """A lock held by another process is waited for, then reported with its likely cause."""
    path = tmp_path / "state.db"
    with Store(path, busy_timeout=0.01) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process; run one tsdiff-monitor per storage path"):
            commit(store, make_change())
        other.execute("ROLLBACK")
        other.close()
        commit(store, make_change())
        assert store.counts()["pending"] == 1


def test_a_full_disk_is_explained_and_survived(tmp_path: Path) -> None:
    """If the file cannot grow nothing of the commit is kept, and it succeeds once there is room."""

    class Small(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if arguments[0] == "BEGIN IMMEDIATE":
                super().execute(f"PRAGMA max_page_count = {pages}")
            return super().execute(*arguments)

    pages = 1000
    with Store(tmp_path / "state.db", factory=Small) as store:
        pages = 1  # SQLite takes this as "no more than now"
        with pytest.raises(StoreError, match="the disk is full; free some space"):
            store.commit("hosts", GROUP, T0, {"large": "x" * 100_000}, [make_change()], ["slack"])
        assert store.group_state("hosts", GROUP) == GroupState(None, None) and store.counts()["pending"] == 0
        pages = 1000
        commit(store, make_change())
        assert store.counts()["pending"] == 1


def test_a_read_only_store_is_explained(tmp_path: Path) -> None:
    """A store that cannot be written says which permission is missing."""

    class ReadOnly(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if arguments[0] == "BEGIN IMMEDIATE":
                super().execute("PRAGMA query_only = ON")
            return super().execute(*arguments)

    Store(tmp_path / "state.db").close()
    with pytest.raises(StoreError, match="write permission on the file and its directory"):
        Store(tmp_path / "state.db", factory=ReadOnly)
