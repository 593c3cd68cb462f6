"""Features as SQL: one statement for all features of a time column, one for the events before the request.

Each feature is an aggregate over a value that is NULL for events it does not count. Databases without
``percentile_cont`` number each interval's values in order and take the weighted mean of the two beside the quantile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from tsdiff_connectors.sql.conditions import condition_sql
from tsdiff_connectors.sql.events import Events
from tsdiff_connectors.sql.syntax import Condition, Feature
from tsdiff_connectors.sql.times import TimeColumn
from tsdiff_monitor.errors import SourceError

__all__ = ["Scope", "Statement", "before", "per_interval"]

Expression = sa.ColumnElement[Any]
Statement: TypeAlias = "sa.Select[*tuple[Any, ...]]"
"""A SELECT of any columns."""


@dataclass(frozen=True)
class Scope:
    """Scope shared by the statements of a reading. ``named`` are the features with the name of their query."""

    events: Events
    time: TimeColumn
    keys: tuple[str, ...]
    where: Condition | None
    named: Sequence[tuple[str, Feature]]
    groups: Expression | None = None
    """The condition that chooses groups; None: all of them."""


def per_interval(scope: Scope, first_ns: int, last_ns: int, step_ns: int) -> Statement:
    """A row per group and interval with events: keys, the row of the grid, a column per feature."""
    row = scope.time.row(first_ns, step_ns).label("grid_row")
    values = [_value(scope, name, feature).label(f"value_{at}") for at, (name, feature) in enumerate(scope.named)]
    events = _chosen(scope, first_ns, last_ns, [row, *values])
    by = [events.c[f"key_{at}"] for at in range(len(scope.keys))]
    own_quantile = scope.events.dialect == "postgresql"
    if not own_quantile:
        events = _ranked(events, scope, [*by, events.c.grid_row])
        by = [events.c[f"key_{at}"] for at in range(len(scope.keys))]
    columns = []
    for at, (_, feature) in enumerate(scope.named):
        value = events.c[f"value_{at}"]
        if feature.function == "quantile" and not own_quantile:
            found = _interpolated(value, events.c[f"rank_{at}"], events.c[f"many_{at}"], feature.quantile or 0.0)
        else:
            found = _aggregate(feature, value)
        columns.append(found.label(f"feature_{at}"))
    grouped = [*by, events.c.grid_row]
    return sa.select(*grouped, *columns).group_by(*grouped)


def before(scope: Scope, first_ns: int, last_ns: int) -> Statement:
    """A row per group: keys, its newest time, and the newest time that each ``seconds_since_last`` counts."""
    since = [(name, feature) for name, feature in scope.named if feature.function == "seconds_since_last"]
    values = [_value(scope, name, feature).label(f"value_{at}") for at, (name, feature) in enumerate(since)]
    events = _chosen(scope, first_ns, last_ns, values)
    by = [events.c[f"key_{at}"] for at in range(len(scope.keys))]
    columns = [sa.func.max(events.c[f"value_{at}"]).label(f"since_{at}") for at in range(len(since))]
    found = sa.select(*by, sa.func.max(events.c.instant).label("newest"), *columns)
    return found.group_by(*by) if by else found.having(sa.func.count() > 0)


def _chosen(scope: Scope, first_ns: int, last_ns: int, columns: Sequence[sa.Label[Any]]) -> sa.Subquery:
    """The events of a span as keys ``key_0`` and on, ``instant``, and ``columns``."""
    keys = [scope.events.column(name, "`groupby`") for name in scope.keys]
    instant = scope.time.instant(scope.time.column).label("instant")
    selected = sa.select(*(key.label(f"key_{at}") for at, key in enumerate(keys)), instant, *columns)
    selected = selected.where(scope.time.between(first_ns, last_ns), *(key.is_not(sa.null()) for key in keys))
    if scope.groups is not None:
        selected = selected.where(scope.groups)
    if scope.where is not None:
        selected = selected.where(condition_sql(scope.where, scope.events, "`where`"))
    return selected.subquery("earlier")


def _value(scope: Scope, name: str, feature: Feature) -> Expression:
    """Value that the feature aggregates: NULL for events that it does not count."""
    where = f"query {name!r}"
    value: Expression
    if feature.function == "count":
        value = sa.literal(1, sa.Integer())
    elif feature.function == "seconds_since_last":
        value = scope.time.instant(scope.time.column)
    elif feature.function == "share":
        assert feature.of is not None
        value = sa.case((condition_sql(feature.of, scope.events, where), 1.0), else_=0.0)
    else:
        assert feature.column is not None
        value = scope.events.column(feature.column, where)
        if feature.function != "distinct":
            value = _numeric(scope.events, feature, value, where)
    if feature.where is not None:
        value = sa.case((condition_sql(feature.where, scope.events, where), value))
    return value


def _numeric(events: Events, feature: Feature, column: Expression, where: str) -> Expression:
    """The column in double precision: sums of whole numbers cannot overflow, and decimals are as fast as the rest."""
    kind = events.kinds[feature.column or ""]
    if kind != "number" and not (kind == "other" and events.dialect == "sqlite"):
        remedy = f"`share({feature.column} = true)`" if kind == "boolean" else "`distinct` and `count`"
        raise SourceError(
            f"{where}: the column {feature.column!r} holds no numbers to take the {feature.function} of; "
            f"{remedy} can be asked of it",
            reason="bad_request",
            recoverable=False,
        )
    if events.dialect == "sqlite":  # where any column may hold text, which would count as 0
        return sa.case((sa.func.typeof(column).in_(["integer", "real"]), sa.cast(column, sa.Float())))
    return sa.cast(column, sa.Double())


def _aggregate(feature: Feature, value: Expression) -> Expression:
    if feature.function == "quantile":
        return sa.func.percentile_cont(sa.literal(feature.quantile, sa.Double())).within_group(value)
    if feature.function == "distinct":
        return sa.func.count(value.distinct())
    names = {"mean": "avg", "share": "avg", "seconds_since_last": "max"}
    found: Expression = getattr(sa.func, names.get(feature.function, feature.function))(value)
    return found


def _ranked(events: sa.Subquery, scope: Scope, by: Sequence[Expression]) -> sa.Subquery:
    """``events`` with each value's place among its interval's (``rank_``), and how many there are (``many_``)."""
    added: list[Expression] = []
    for at, (_, feature) in enumerate(scope.named):
        if feature.function == "quantile":
            value = events.c[f"value_{at}"]
            place = sa.func.row_number().over(partition_by=[*by, value.is_(sa.null())], order_by=value)
            added += [place.label(f"rank_{at}"), sa.func.count(value).over(partition_by=by).label(f"many_{at}")]
    return sa.select(*events.c, *added).subquery("ranked") if added else events


def _interpolated(value: Expression, rank: Expression, many: Expression, quantile: float) -> Expression:
    """The quantile as ``percentile_cont`` defines it: at place ``1 + q (n - 1)``, linear between two values."""
    distance = sa.func.abs(rank - 1 - (many - 1) * sa.literal(quantile, sa.Float()))
    weighted = value * (1 - distance)
    return sa.func.sum(sa.case((sa.and_(value.is_not(sa.null()), distance < 1), weighted)))
