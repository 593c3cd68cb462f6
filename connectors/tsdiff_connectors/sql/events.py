"""The events: the table or query that holds them, as the database itself describes it."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import exc

from tsdiff_connectors.sql.config import SqlConfig
from tsdiff_monitor.errors import SourceError

__all__ = ["Events", "Kind", "describe"]

Kind = Literal["number", "text", "boolean", "timestamp", "timestamptz", "date", "other"]
"""Kind of a column's values. `other` stands for types that compare as text (uuid, enum), and for those not known."""

_Type = sa.types.TypeEngine[Any]

_OIDS: tuple[tuple[tuple[int, ...], Kind, _Type], ...] = (
    ((16,), "boolean", sa.Boolean()),
    ((20, 21, 23), "number", sa.BigInteger()),
    ((700, 701, 1700), "number", sa.Double()),
    ((18, 25, 1043), "text", sa.Text()),
    ((1042,), "text", sa.CHAR()),
    ((1082,), "date", sa.Date()),
    ((1114,), "timestamp", sa.DateTime()),
    ((1184,), "timestamptz", sa.DateTime(timezone=True)),
)
"""PostgreSQL's type numbers, by which a query describes its columns."""
_OTHER: tuple[Kind, _Type] = ("other", sa.types.NullType())


@dataclass(frozen=True)
class Events:
    """Source of events. ``name`` is what messages call it."""

    name: str
    source: sa.FromClause
    kinds: Mapping[str, Kind]
    dialect: str

    def column(self, name: str, where: str) -> sa.ColumnClause[Any]:
        """The column; ``where`` says in the error who asked for it."""
        if name not in self.kinds:
            raise SourceError(
                f"{where}: {self.name} has no column {name!r}{_suggestion(name, self.kinds)}; "
                f"its columns are {_listed(self.kinds)}",
                reason="not_found",
                recoverable=False,
            )
        found: sa.ColumnClause[Any] = self.source.c[name]  # type: ignore[assignment]
        return found


def describe(connection: sa.Connection, config: SqlConfig) -> Events:
    """Ask the database. Raises :class:`SourceError` where there is no such table."""
    if config.query is not None:
        return _query(connection, config.query)
    assert config.table is not None
    schema, _, table = config.table.rpartition(".")
    inspector = sa.inspect(connection)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exc.SAWarning)  # of types that SQLAlchemy does not know: they are `other`
            columns = inspector.get_columns(table, schema=schema or None)
    except exc.NoSuchTableError:
        there = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        raise SourceError(
            f"there is no table or view {config.table!r}{_suggestion(table, there)}; there are: {_listed(there)}",
            reason="not_found",
            recoverable=False,
        ) from None
    dialect = connection.dialect.name
    kinds: dict[str, Kind] = {column["name"]: _kind(column["type"]) for column in columns}
    selectable = sa.table(
        table, *(sa.column(c["name"], _plain(c["type"], dialect)) for c in columns), schema=schema or None
    )
    return Events(config.table, selectable, kinds, dialect)


def _query(connection: sa.Connection, query: str) -> Events:
    text = query.strip().rstrip(";")
    inner = sa.text(
        re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", text) + "\n"
    )  # a colon is no parameter, a comment may end it
    probe = sa.select(sa.text("*")).select_from(inner.columns().subquery("events")).limit(1)
    result = connection.execute(probe)
    description = result.cursor.description if result.cursor is not None else ()
    row = result.first()
    kinds: dict[str, Kind] = {}
    types: dict[str, _Type] = {}
    for at, column in enumerate(description):
        if connection.dialect.name == "postgresql":
            kind, kept = _of_number(column[1])
        else:
            kind, kept = _of_value(None if row is None else row[at])
        if column[0] in kinds:
            raise SourceError(
                f"`query` gives two columns {column[0]!r}; rename one with AS", reason="bad_request", recoverable=False
            )
        kinds[column[0]], types[column[0]] = kind, kept
    selectable = inner.columns(*(sa.column(name, kept) for name, kept in types.items())).subquery("events")
    return Events("`query`", selectable, kinds, connection.dialect.name)


def _kind(declared: _Type) -> Kind:
    if isinstance(declared, sa.Boolean):
        return "boolean"
    if isinstance(declared, (sa.Integer, sa.Numeric, sa.Float)):
        return "number"
    if isinstance(declared, sa.DateTime):
        return "timestamptz" if declared.timezone else "timestamp"
    if isinstance(declared, sa.Date):
        return "date"
    if isinstance(declared, sa.String) and not isinstance(declared, sa.Enum):
        return "text"
    return "other"


def _plain(declared: _Type, dialect: str) -> _Type:
    """SQLite's values are taken as they are: a column declared DATETIME may hold numbers as well as text."""
    return _OTHER[1] if dialect == "sqlite" else declared


def _of_number(oid: object) -> tuple[Kind, _Type]:
    for oids, kind, kept in _OIDS:
        if oid in oids:
            return kind, kept
    return _OTHER


def _of_value(value: object) -> tuple[Kind, _Type]:
    if isinstance(value, (int, float)):
        return "number", _OTHER[1]
    return ("text" if isinstance(value, str) else "other"), _OTHER[1]


def _suggestion(name: str, there: Iterable[str]) -> str:
    folded = {one.lower(): one for one in there}
    near = difflib.get_close_matches(name.lower(), folded, 1)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:12]) + (", …" if len(found) > 12 else "") if found else "none"
