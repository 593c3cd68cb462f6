"""Databases that are late, slow, silent, locked or gone: an error in time, and all is well when they are back."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from tests.connectors.sql.sql_events import DATABASES, Store, new_store, only, request, seconds
from tsdiff_connectors.sql import SqlReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing.checks import check_silent

COLUMNS = {"t": sa.BigInteger, "shop": sa.Integer, "amount": sa.Double}
ENDLESS = "WITH RECURSIVE n(t) AS (SELECT 1 UNION ALL SELECT t + 1 FROM n) SELECT max(t) AS t FROM n"


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(request.param, request, tmp_path) as found:
        found.make(COLUMNS, [{"t": seconds(at), "shop": at % 2, "amount": 1.0} for at in range(8)])
        yield found


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store("sqlite", request, tmp_path) as found:
        found.make(COLUMNS, [{"t": seconds(0)}])
        yield found


@pytest.fixture
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store("postgresql", request, tmp_path) as found:
        found.make(COLUMNS, [{"t": seconds(0)}])
        yield found


def failure(source: SqlReader) -> SourceError:
    with pytest.raises(SourceError) as caught:
        source.read(request(2, n="count"))
    return caught.value


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.01)


def no_thread_is_left() -> bool:
    return not any(thread.name == "sql-reader" for thread in threading.enumerate())


def test_late_events_are_picked_up(store: Store) -> None:
    """A tick reads the rows of the last `lateness` again, and no older ones."""
    source = store.reader(lateness="2m")
    np.testing.assert_array_equal(only(source.read(request(5, n="count")).frames).values[:, 0], [1, 1, 1, 1, 1])
    store.add([{"t": seconds(at + 0.5), "shop": 0} for at in (2, 3, 4)])
    frame = only(source.read(request(5, first=1, n="count")).frames)
    np.testing.assert_array_equal(frame.values[:, 0], [1, 1, 2, 2, 1])


def test_a_stream_that_stops_is_no_verdict(store: Store) -> None:
    """With `stalled_after` a table that no one writes to any more does not answer; without it there are zeros."""
    source = store.reader(stalled_after="5m")
    assert only(source.read(request(12, n="count")).frames).values[-1, 0] == 0
    with pytest.raises(SourceError, match="newest event of all is of 2024-05-01T03:07:00") as caught:
        source.read(request(13, n="count"))
    assert (caught.value.reason, caught.value.recoverable) == ("stalled", True)
    assert only(store.reader().read(request(13, n="count")).frames).values[-1, 0] == 0


def test_features_of_a_reading_are_one_statement(store: Store) -> None:
    """All features of a time column are worked out together, and one more statement asks what was before."""
    seen: list[str] = []

    def note(*given: Any) -> None:
        seen.append(given[2])

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        source = store.reader()
        queries = {"n": "count", "total": "sum(amount)", "p95": "p95(amount)", "since": "seconds_since_last"}
        source.read(request(5, ("shop",), **queries))
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
    assert len([one for one in seen if "earlier" in one]) == 2
    assert len([one for one in seen if "grid_row" in one]) == 1


def test_readings_at_the_same_time(store: Store) -> None:
    """Several monitors share a reader, and its pool, from several threads."""
    source = store.reader(pool_size=2)
    with ThreadPoolExecutor(6) as pool:
        asked = [request(5, ("shop",), **{f"n{at}": "count"}) for at in range(12)]
        frames = [reading.frames for reading in pool.map(source.read, asked)]
    for found in frames:
        np.testing.assert_array_equal(found[(("shop", "0"),)].values[:, 0], [1, 0, 1, 0, 1])


def test_wrong_credentials_are_not_shown(postgres: Store) -> None:
    """Password, user and database: the error says which to check, and keeps the password."""
    url = sa.make_url(postgres.url)
    for change, reason in (
        ({"password": "s3cret-x"}, "auth"),
        ({"username": "stranger"}, "auth"),
        ({"database": "x"}, "not_found"),
    ):
        wrong = url.set(**change)
        source = postgres.reader(url=wrong.render_as_string(False))
        error = failure(source)
        assert error.reason == reason, error
        assert not error.recoverable
        check_silent([str(wrong.password)], error, source)


def test_a_server_that_is_not_there(postgres: Store) -> None:
    """It is worth another try, and the error says where it was looked for."""
    error = failure(postgres.reader(url="postgresql://u:s3cret@127.0.0.1:1/events"))
    assert (error.reason, error.recoverable) == ("connect", True)
    assert "postgresql://127.0.0.1:1/events: no connection" in str(error)
    check_silent(["s3cret"], error)


def test_connections_that_the_server_ended_are_replaced(postgres: Store) -> None:
    """After a restart of the server the next reading just works."""
    source = postgres.reader()
    source.read(request(2, n="count"))
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tsdiff-monitor'")
    assert only(source.read(request(2, m="count")).frames).values[0, 0] == 1


def test_a_server_that_dies_in_the_middle(postgres: Store) -> None:
    """The reading fails as a failure of the connection, and the next one finds a new one."""
    slow = postgres.reader(query="SELECT t, pg_sleep(30) FROM events")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(failure, slow)
        asleep = "query LIKE '%%pg_sleep(30)%%' AND pid <> pg_backend_pid()"
        kill = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {asleep}"

        def killed() -> bool:
            with postgres.engine.connect() as connection:
                return bool(connection.exec_driver_sql(kill).scalar_one())

        until(killed)
        error = reading.result(10)
    assert (error.reason, error.recoverable) == ("connect", True)
    assert only(postgres.reader().read(request(2, n="count")).frames).values[0, 0] == 1


def test_a_statement_that_takes_too_long(store: Store) -> None:
    """The server, or SQLite itself, ends it after `statement_timeout`."""
    source = store.reader(query=ENDLESS, statement_timeout="200ms")
    error = failure(source)
    assert (error.reason, error.recoverable) == ("timeout", True)
    assert "raise `statement_timeout`" in str(error)


def test_the_deadline_of_a_whole_reading(store: Store) -> None:
    """`timeout` ends it even where statements may take longer; no thread stays behind, and no server works on."""
    source = store.reader(query=ENDLESS, statement_timeout="1h", timeout="200ms")
    assert failure(source).reason == "timeout"
    until(no_thread_is_left)
    if not store.is_sqlite:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%RECURSIVE%%' AND pid <> pg_backend_pid()"

        def idle() -> bool:
            with store.engine.connect() as connection:
                return connection.exec_driver_sql(f"{busy} AND state = 'active'").scalar_one() == 0

        until(idle)


class Relay:
    """Passes bytes between clients and a server until it is ``frozen``: then everything stays open, and silent."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.frozen = threading.Event()
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.frozen.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_a_server_that_falls_silent(postgres: Store) -> None:
    """A connection on which nothing comes any more is given up at `timeout`; the next reading takes another one."""
    url = sa.make_url(postgres.url)
    relay = Relay((str(url.host), int(url.port or 0)))
    try:
        near = url.set(host="127.0.0.1", port=relay.port).render_as_string(False)
        source = postgres.reader(url=near, timeout="500ms", pool_size=1)
        source.read(request(2, m="count"))
        relay.frozen.set()
        began = time.monotonic()
        error = failure(source)
        assert (error.reason, error.recoverable) == ("timeout", True)
        assert "no answer within 500ms" in str(error)
        assert failure(source).reason == "timeout", "nor can it connect"
        assert time.monotonic() - began < 10
        until(no_thread_is_left)
        relay.frozen.clear()
        assert only(source.read(request(2, n="count")).frames).values[0, 0] == 1
    finally:
        relay.close()


def test_a_server_that_hangs_leaves_few_threads() -> None:
    """An hour of ticks, one a minute, from a server that accepts and says nothing: as many threads as connections."""
    before = {*threading.enumerate()}
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/events"
        config = SqlReader.Config(url=url, table="events", time="t", timeout="5ms", pool_size=3)
        source = SqlReader(config, Context())
        errors = [failure(source) for _ in range(60)]
        assert sum(thread.name == "sql-reader" for thread in {*threading.enumerate()} - before) <= 3
    assert {(error.reason, error.recoverable) for error in errors} == {("timeout", True)}
    assert "`pool_size`: 3" in str(errors[-1])
    source.close()
    until(no_thread_is_left)


def test_a_file_that_another_program_locks(sqlite: Store) -> None:
    """A writer that holds the file for long is an error worth another try."""
    source = sqlite.reader(connect_timeout="50ms")
    other = sqlite3.connect(sa.make_url(sqlite.url).database or "", isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        error = failure(source)
        assert (error.reason, error.recoverable) == ("locked", True)
        other.execute("ROLLBACK")
        assert only(source.read(request(2, n="count")).frames).values[0, 0] == 1
    finally:
        other.close()


def test_files_that_are_no_database(sqlite: Store, tmp_path: Path) -> None:
    """A file that is missing is not made, and one of another kind is not touched."""
    missing, other = tmp_path / "missing.sqlite", tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to look at " * 50)
    error = failure(sqlite.reader(url=f"sqlite:///{missing}"))
    assert (error.reason, missing.exists()) == ("not_found", False)
    assert str(missing) in str(error)
    assert failure(sqlite.reader(url=f"sqlite:///{other}")).reason == "bad_data"
    assert failure(sqlite.reader(url=f"sqlite:///{tmp_path}")).reason == "unavailable"
