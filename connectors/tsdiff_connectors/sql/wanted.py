"""Conditions that bring the events of some groups only, as far as that can be said in SQL."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from tsdiff_connectors.sql.events import Events
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["wanted_groups"]

Expression = sa.ColumnElement[Any]
Values: TypeAlias = "Callable[[str], list[Expression]]"
"""A key's text to the values that it may stand for, as bound parameters."""

_AT_ONCE = 500
"""Groups that one statement names: SQLite takes expressions of a depth of 1,000, and 32,766 parameters."""


def wanted_groups(events: Events, groupby: Sequence[str], groups: Collection[Group] | None) -> list[Expression | None]:
    """Conditions that together bring all events of ``groups``, perhaps some of others too; None: all events.

    Groups hold their keys as text, and columns need not. A key whose values do not follow from their text, such as
    floating point in PostgreSQL, chooses nothing. Events whose key is NULL belong to no group.
    """
    if groups is None:
        return [None]
    labels = sorted(groupby)
    named = [tuple(text for _, text in group) for group in sorted(groups) if [label for label, _ in group] == labels]
    keys = [(at, events.column(label, "`groupby`")) for at, label in enumerate(labels)]
    chosen = [(at, key, values) for at, key in keys if (values := _values(events, key)) is not None]
    if named and not chosen:
        return [None]
    return [_any_of(chosen, named[at : at + _AT_ONCE]) for at in range(0, len(named), _AT_ONCE)]


def _any_of(chosen: Sequence[tuple[int, Expression, Values]], groups: Sequence[tuple[str, ...]]) -> Expression:
    if len(chosen) == 1:  # the form that databases look up in an index
        ((at, key, values),) = chosen
        return key.in_([value for text in dict.fromkeys(group[at] for group in groups) for value in values(text)])
    every = [sa.and_(*(key.in_(values(group[at])) for at, key, values in chosen)) for group in groups]
    return sa.or_(*every)


def _values(events: Events, key: sa.ColumnClause[Any]) -> Values | None:
    if events.dialect == "sqlite":
        return _sqlite_values
    kind = events.kinds[key.name]
    if kind == "text" and not isinstance(key.type, sa.CHAR):  # which is compared without the blanks at its end
        return lambda text: [sa.literal(text, sa.Text())]
    if kind == "number" and isinstance(key.type, sa.Integer):
        return _whole
    if kind == "boolean":
        return lambda text: [sa.literal(text == "True", sa.Boolean())]
    return None


def _whole(text: str) -> list[Expression]:
    return [sa.literal(int(text), sa.BigInteger())] if _is_text_of(_int64, text) else []


def _sqlite_values(text: str) -> list[Expression]:
    """Any column of SQLite may hold values of any type."""
    others: list[float | bytes] = [kind(text) for kind in (_int64, float, _bytes) if _is_text_of(kind, text)]
    return [sa.literal(text, sa.Text()), *(sa.literal(value, sa.types.NullType()) for value in others)]


def _int64(text: str) -> float:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("it is larger than any that a database holds")
    return number


def _bytes(text: str) -> bytes:
    if not text.startswith(("b'", 'b"')):
        raise ValueError("it is no text of bytes")
    return bytes(ast.literal_eval(text))


def _is_text_of(kind: Callable[[str], object], text: str) -> bool:
    try:
        return str(kind(text)) == text
    except (ValueError, TypeError, SyntaxError):
        return False
