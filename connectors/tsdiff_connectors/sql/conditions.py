"""Conditions as SQL: columns checked against the table, values bound as parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tsdiff_connectors.sql.events import Events, Kind
from tsdiff_connectors.sql.syntax import Compare, Condition, Every, IsNull, Not, OneOf, Value
from tsdiff_monitor.errors import SourceError

__all__ = ["condition_sql"]

Expression = sa.ColumnElement[Any]

_OPERATORS: dict[str, Callable[[Expression, Expression], Expression]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def condition_sql(condition: Condition, events: Events, where: str) -> Expression:
    """The condition over ``events``; ``where`` says in errors who asked.

    Raises :class:`SourceError` for a column that is not there and for a value of another type than its column's.
    """
    if isinstance(condition, Compare):
        column, value = _sides(events, condition.column, condition.value, where)
        return _OPERATORS[condition.operator](column, value)
    if isinstance(condition, OneOf):
        pairs = [_sides(events, condition.column, value, where) for value in condition.values]
        return pairs[0][0].in_([value for _, value in pairs])
    if isinstance(condition, IsNull):
        return events.column(condition.column, where).is_(sa.null())
    if isinstance(condition, Not):
        return sa.not_(condition_sql(condition.condition, events, where))
    parts = [condition_sql(one, events, where) for one in condition.conditions]
    return sa.and_(*parts) if isinstance(condition, Every) else sa.or_(*parts)


def _sides(events: Events, name: str, value: Value, where: str) -> tuple[Expression, Expression]:
    """Column and value, made to be of one type."""
    column: Expression = events.column(name, where)
    kind = events.kinds[name]
    if kind == "boolean":
        if value in (0, 1):
            return column, sa.literal(bool(value), sa.Boolean())
        raise _mismatch(where, name, "is true or false", value)
    if kind == "number":
        if isinstance(value, str):
            raise _mismatch(where, name, "holds numbers", value)
        return column, _number(value)
    if kind == "text":
        if not isinstance(value, str):
            raise _mismatch(where, name, "holds text", value)
        return column, sa.literal(value, sa.Text())
    if kind in ("timestamp", "timestamptz", "date"):
        raise _mismatch(where, name, "holds times, which conditions cannot compare", value)
    if isinstance(value, str):
        return sa.cast(column, sa.Text()), sa.literal(value, sa.Text())
    if events.dialect == "sqlite":
        return column, _number(value)
    raise _mismatch(where, name, "compares as text", value)


def _number(value: float) -> Expression:
    whole = isinstance(value, int)
    return sa.literal(int(value) if whole else value, sa.BigInteger() if whole else sa.Double())


def _mismatch(where: str, name: str, what: str, value: Value) -> SourceError:
    wrong: Kind = "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
    remedy = {"number": "a number", "text": "text in single quotes", "boolean": "true or false"}
    return SourceError(
        f"{where}: the column {name!r} {what}, so it cannot be compared with {remedy[wrong]} ({value!r})",
        reason="bad_request",
        recoverable=False,
    )
