"""Reads features of events from a database through SQLAlchemy (PostgreSQL and SQLite are tested).

The language of `expr` is in :mod:`tsdiff_connectors.sql.parser`; keys and examples are in ``docs/sql.md``. SQLAlchemy
is imported when something is read, not when a configuration is checked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pandas as pd

from tsdiff_connectors.reading.window_cache import WindowCache
from tsdiff_connectors.sql.config import SqlConfig
from tsdiff_connectors.sql.parser import ExpressionError, parse_feature
from tsdiff_connectors.sql.syntax import Feature
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, Extent, LabelledSpan, Query, Reading, ReadRequest
from tsdiff_monitor.system.extras import missing_package
from tsdiff_monitor.timeseries.frame import Group

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tsdiff_connectors.sql.database import Database
    from tsdiff_connectors.sql.session import Source

__all__ = ["SqlReader"]

T = TypeVar("T")

_SECOND = 10**9


class SqlReader:
    """A reader and a history over a table of events."""

    Config = SqlConfig
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy",)
    selects_groups: ClassVar[bool] = True

    def __init__(self, config: SqlConfig, context: Context) -> None:
        self._config = config
        self._name = context.name
        self._lock = threading.Lock()
        self._caches: dict[int, WindowCache] = {}
        self._database: Database | None = None
        self._source: Source | None = None

    def read(self, request: ReadRequest) -> Reading:
        """The features of the request's intervals; groups are those with an event in its span or in `lookback` before.

        Raises :class:`SourceError`, at the latest after `timeout`.
        """
        step = request.step.as_unit("ns").value
        with self._lock:
            late_rows = -(-pd.Timedelta(self._config.lateness).as_unit("ns").value // step)
            cache = self._caches.setdefault(step, WindowCache(reread=late_rows))
        return cache.read(request, self._fetch)

    def extents(self, groupby: tuple[str, ...]) -> dict[Group, Extent]:
        """The oldest ``fit_fraction`` of the events' time span to fit on, and the rest: the same for every group."""
        from tsdiff_connectors.sql import session

        span, groups = self._run(lambda connection, source: session.span(connection, source, self._config, groupby))
        if span is None:
            return {}
        start, end = span[0] // _SECOND, span[1] // _SECOND + 2  # two seconds at least: one for each part
        middle = max(start + 1, min(end - 1, start + int((end - start) * self._config.fit_fraction)))
        times = [pd.Timestamp(seconds * _SECOND, tz="UTC") for seconds in (start, middle, middle, end)]
        return dict.fromkeys(groups, Extent(*times))

    def incidents(self, request: ReadRequest) -> tuple[LabelledSpan, ...] | None:  # noqa: ARG002 (the contract)
        """None: which events were part of an incident is not read from the database."""
        return None

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        if self._database is not None:
            self._database.close()

    def _fetch(self, request: ReadRequest) -> Reading:
        from tsdiff_connectors.sql import session

        config = self._config
        named = [(query.name, _feature(query)) for query in request.queries]
        return Reading(
            self._run(lambda connection, source: session.features(connection, source, config, request, named))
        )

    def _run(self, work: Callable[[sa.Connection, Source], T]) -> T:
        """Do ``work`` on a connection, with what is known of the source; errors say which reader they come from."""
        if missing := missing_package("the sql reader", *self.packages):
            raise SourceError(f"reader {self._name!r}: {missing}", reason="config", recoverable=False)
        from tsdiff_connectors.sql.database import Database
        from tsdiff_connectors.sql.session import describe_source

        with self._lock:
            if self._database is None:
                self._database = Database(self._config)
            database = self._database

        def whole(connection: sa.Connection) -> T:
            source = self._source or describe_source(connection, self._config)
            found = work(connection, source)
            self._source = source if source.settled else None
            return found

        try:
            return database.run(whole)
        except SourceError as error:
            self._source = None  # the table may have been changed
            raise SourceError(
                f"reader {self._name!r}: {error}", reason=error.reason, recoverable=error.recoverable
            ) from None


def _feature(query: Query) -> Feature:
    try:
        return parse_feature(query.expr)
    except ExpressionError as error:
        raise SourceError(f"query {query.name!r}: {error}", reason="bad_request", recoverable=False) from None
