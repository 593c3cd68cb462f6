"""One database: a pool of read-only connections, and work on them that ends in time even if the server hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc

from tsdiff_connectors.reading.lanes import Lanes
from tsdiff_connectors.sql.config import SqlConfig
from tsdiff_connectors.sql.failures import explained, safe_url
from tsdiff_connectors.sql.local_times import utc_microseconds
from tsdiff_monitor.errors import ConfigError, SourceError
from tsdiff_monitor.plugins import BusyError, DeadlineError
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.settings.secrets import resolve_secret

__all__ = ["Database"]

T = TypeVar("T")

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_INSTRUCTIONS = 10_000
"""Virtual instructions of SQLite between two looks at the clock: well under a millisecond."""


class Database:
    """Runs work on a connection. Thread-safe; the pool is made at first use and again when the address changes."""

    def __init__(self, config: SqlConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._pool: tuple[sa.URL, sa.Engine] | None = None
        self._lanes = Lanes("sql-reader", config.pool_size)  # a thread for each connection: what hangs keeps both

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Result of ``work``, run in one read-only transaction on one snapshot.

        Raises :class:`SourceError`: at the latest after `timeout`, even if the server says nothing any more.
        """
        url, engine = self._engine()
        limit = min(
            self._config.statement_timeout, self._config.timeout
        )  # the server must not work on after we have left
        task = _Task(engine, work, limit.total_seconds())
        try:
            return self._lanes.call(self._config.timeout.total_seconds(), task.run)
        except DeadlineError:
            task.give_up()
            raise SourceError(
                f"{safe_url(url)}: no answer within {format_duration(self._config.timeout)}; check that the server "
                "is up, add an index on the time column, ask for less, or raise `timeout`",
                reason="timeout",
            ) from None
        except BusyError:
            raise SourceError(
                f"{safe_url(url)}: all connections (`pool_size`: {self._config.pool_size}) have been busy for "
                f"{format_duration(self._config.timeout)}; check that the server answers, or raise `pool_size`",
                reason="timeout",
            ) from None
        except exc.SQLAlchemyError as error:
            raise explained(error, url) from None

    def close(self) -> None:
        """Close the connections that nothing uses now; safe to call twice."""
        with self._lock:
            if self._pool is not None:
                self._pool[1].dispose()
                self._pool = None

    def _engine(self) -> tuple[sa.URL, sa.Engine]:
        url = self._address()
        with self._lock:
            if self._pool is None or self._pool[0] != url:
                if self._pool is not None:
                    self._pool[1].dispose()
                self._pool = (url, self._connected(url))
            return self._pool

    def _address(self) -> sa.URL:
        try:
            text = resolve_secret(self._config.url, self._config.url_file) or ""
            url = sa.make_url(text.strip())
        except ConfigError as error:
            raise SourceError(str(error), reason="config") from error
        except (exc.ArgumentError, ValueError):
            raise SourceError(
                "the address of the database cannot be read; write it like postgresql://user:password@host/name and "
                "percent-encode the characters @ : / in user and password",
                reason="config",
                recoverable=False,
            ) from None
        return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))

    def _connected(self, url: sa.URL) -> sa.Engine:
        config = self._config
        seconds = min(config.connect_timeout, config.timeout).total_seconds()
        options: dict[str, Any] = {"pool_size": config.pool_size, "max_overflow": 0}
        options |= {"pool_timeout": config.timeout.total_seconds()}
        try:
            if url.get_backend_name() == "sqlite":
                if url.database in (None, "", ":memory:"):
                    raise exc.ArgumentError("a database in memory has no events of others; name a file")
                path = str(url.database)
                options |= {"creator": lambda: _open_file(path, seconds), "poolclass": sa.QueuePool}
                engine = sa.create_engine(url, **options)
                event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
                return engine
            if url.get_backend_name() == "postgresql":
                whole = {"connect_timeout": max(1, round(seconds)), "application_name": "tsdiff-monitor"}
                own = {key: value for key, value in whole.items() if key not in url.query}
                engine = sa.create_engine(url, connect_args=own, **options)
                return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return sa.create_engine(url, pool_pre_ping=True, **options)
        except exc.SQLAlchemyError as error:
            raise explained(error, url) from None
        except ModuleNotFoundError as error:
            raise SourceError(
                f"{safe_url(url)}: the driver {error.name!r} is not installed; install it (for PostgreSQL: "
                "pip install 'tsdiff-monitor[postgres]')",
                reason="config",
                recoverable=False,
            ) from None


class _Task(Generic[T]):
    """One piece of work, which may have to be given up from another thread."""

    def __init__(self, engine: sa.Engine, work: Callable[[sa.Connection], T], statement_seconds: float) -> None:
        self._engine = engine
        self._work = work
        self._statement_seconds = statement_seconds
        self._driver: Any = None
        self._given_up = False
        self._begun = False

    def run(self) -> T:
        """Result of the work; when it returns, the connection is back in its pool."""
        try:
            return self._attempt()
        except exc.DBAPIError as error:
            if self._begun or self._given_up or not error.connection_invalidated:
                raise
            return self._attempt()  # the server had ended the connections of the pool, which are new ones now

    def give_up(self) -> None:
        """Cut the connection, so that the thread that works on it ends soon."""
        self._given_up = True
        _cut(self._driver)

    def _attempt(self) -> T:
        with self._engine.connect() as connection:
            self._driver = connection.connection.driver_connection
            if self._given_up:
                raise exc.TimeoutError
            self._limit(connection)
            self._begun = True
            return self._work(connection)

    def _limit(self, connection: sa.Connection) -> None:
        """Let the server itself end a statement that takes too long; it fails at once where the connection is gone."""
        seconds = self._statement_seconds
        if connection.dialect.name == "postgresql":
            limit = str(max(1, int(seconds * 1000)))
            connection.execute(sa.select(sa.func.set_config("statement_timeout", limit, True)))
        elif isinstance(self._driver, sqlite3.Connection):
            end = time.monotonic() + seconds
            self._driver.set_progress_handler(lambda: int(time.monotonic() > end), _INSTRUCTIONS)


def _open_file(path: str, lock_seconds: float) -> sqlite3.Connection:
    """An SQLite file for reading: never made where it is missing, never written to."""
    uri = f"file:{quote(path)}?mode=ro"
    found = sqlite3.connect(uri, uri=True, timeout=lock_seconds, check_same_thread=False, isolation_level=None)
    found.create_function("utc_microseconds", 2, utc_microseconds, deterministic=True)
    found.execute("PRAGMA query_only = ON")
    return found


def _cut(driver: Any) -> None:
    """End what a driver's connection waits for, from another thread."""
    if isinstance(driver, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):
            driver.interrupt()
        return
    # It may be closed already, or have no socket: then it is just left.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(driver.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
