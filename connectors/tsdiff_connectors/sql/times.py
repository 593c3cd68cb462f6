"""A time column in the database: which row of the grid an event falls in, worked out by the database.

Numbers since the epoch are taken as they are, in their own unit. PostgreSQL's timestamps and SQLite's texts become
microseconds since the epoch. Each has a condition on the bare column as well, so that an index on it serves.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from tsdiff_connectors.sql.config import SqlConfig, TimeUnit
from tsdiff_connectors.sql.events import Events
from tsdiff_monitor.errors import SourceError

__all__ = ["TimeColumn", "time_column"]

Expression = sa.ColumnElement[Any]
_Form = Literal["integer", "number", "timestamp", "timestamptz", "text"]

_UNIT_NS: dict[TimeUnit, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_SIZES: tuple[tuple[float, TimeUnit], ...] = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (math.inf, "ns"))
"""Below which size a number counts what: the present is 1.7e9 seconds after the epoch."""
_TIMESTAMPS = ("timestamp", "timestamptz", "date")
_DAY = dt.timedelta(days=1)
_DIVISION = 8
"""SQLAlchemy's precedence of `/`: what is divided gets its parentheses."""


@dataclass(frozen=True)
class TimeColumn:
    """One time column. ``unit_ns`` is what :meth:`instant` counts, in nanoseconds."""

    column: sa.ColumnClause[Any]
    form: _Form
    unit_ns: int
    zone: str
    dialect: str
    empty: bool = False
    """True while there is no time to derive the unit from."""

    def instant(self, value: Expression) -> Expression:
        """``value``, the column or something of its type, as a number of units since the epoch."""
        if self.form == "text":
            return sa.func.utc_microseconds(value, sa.literal(self.zone), type_=sa.BigInteger)
        if self.form in ("timestamp", "timestamptz"):
            local = sa.cast(value, sa.DateTime())  # which a date is not yet
            aware = sa.func.timezone(sa.literal(self.zone), local) if self.form == "timestamp" else value
            return sa.cast(sa.func.date_part("epoch", aware) * 1e6, sa.BigInteger)
        return value

    def between(self, start_ns: int, end_ns: int) -> Expression:
        """``start <= time < end``."""
        if self.form in ("integer", "number"):
            return sa.and_(self.column >= self._number(start_ns), self.column < self._number(end_ns))
        if self.form == "timestamptz":
            start, end = (sa.literal(_utc(ns), sa.DateTime(timezone=True)) for ns in (start_ns, end_ns))
            return sa.and_(self.column >= start, self.column < end)
        # Local times by the calendar, a day wider than any zone is from UTC; then exactly.
        first, last = (_utc(ns).replace(tzinfo=None) for ns in (start_ns, end_ns))
        first, last = first - 2 * _DAY, last + 2 * _DAY
        near: tuple[Expression, Expression]
        if self.form == "text":
            near = (sa.literal(first.date().isoformat()), sa.literal(last.date().isoformat()))
        else:
            near = (sa.literal(first, sa.DateTime()), sa.literal(last, sa.DateTime()))
        exact = self.instant(self.column)
        bounds = (exact >= self._number(start_ns), exact < self._number(end_ns))
        return sa.and_(self.column >= near[0], self.column < near[1], *bounds)

    def row(self, first_ns: int, step_ns: int) -> Expression:
        """The row of the grid that begins at ``first`` in which the event lies; for times not before ``first``."""
        shared = math.gcd(self.unit_ns, step_ns)
        value: Expression = self.instant(self.column)
        if self.unit_ns != shared:
            value = value * _whole(self.unit_ns // shared)
        since = value - _whole(first_ns // shared)
        rows = since.op("/", precedence=_DIVISION)(_whole(step_ns // shared))  # however the database divides
        if self.dialect == "sqlite":
            return sa.cast(rows, sa.Integer)
        if self.dialect == "postgresql" and self.form != "number":
            return rows
        return sa.func.floor(rows)

    def _number(self, ns: int) -> Expression:
        if ns % self.unit_ns == 0:
            return _whole(ns // self.unit_ns)
        return sa.literal(ns / self.unit_ns, sa.Double())


def time_column(connection: sa.Connection, events: Events, name: str, key: str, config: SqlConfig) -> TimeColumn:
    """The column that the configuration's ``key`` names. Raises :class:`SourceError` where it holds no times."""
    column = events.column(name, f"`{key}`")
    kind, dialect = events.kinds[name], events.dialect
    if kind in _TIMESTAMPS and dialect == "postgresql":
        form: _Form = "timestamptz" if kind == "timestamptz" else "timestamp"
        return TimeColumn(column, form, 1000, config.tz, dialect)
    if dialect != "sqlite" and kind != "number":
        raise _no_time(key, name, f"its type is {column.type}")
    ends = [sa.select(end(column)) for end in (sa.func.max, sa.func.min)]  # apart, so that an index serves each
    newest, oldest = (connection.execute(end).scalar_one() for end in ends)
    empty = newest is None
    text = isinstance(newest, str) or (empty and kind not in ("number", "boolean"))
    if dialect == "sqlite" and text:
        for value in (oldest, newest):
            if value is not None and not (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
                raise _no_time(key, name, f"one of its values is {str(value)[:40]!r}")
        return TimeColumn(column, "text", 1000, config.tz, dialect, empty)
    if kind == "number" or (dialect == "sqlite" and isinstance(newest, (int, float))):
        unit = config.time_unit or _unit_of(float(str(newest or 0)))
        whole = dialect != "sqlite" and isinstance(column.type, sa.Integer)
        return TimeColumn(column, "integer" if whole else "number", _UNIT_NS[unit], config.tz, dialect, empty)
    raise _no_time(key, name, f"one of its values is {str(newest)[:40]!r}")


def _unit_of(time: float) -> TimeUnit:
    return next(unit for limit, unit in _SIZES if abs(time) < limit)


def _whole(number: int) -> Expression:
    return sa.literal(number, sa.BigInteger())


def _utc(ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=ns // 1000)


def _no_time(key: str, name: str, why: str) -> SourceError:
    return SourceError(
        f"`{key}`: the column {name!r} holds no times that can be read here ({why}); it may hold numbers since the "
        "epoch, in PostgreSQL timestamps, in SQLite text in ISO 8601; otherwise convert it in a `query` of your own",
        reason="bad_data",
        recoverable=False,
    )
