"""Tables of events in real databases, and readers of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from tsdiff_connectors.sql import SqlReader
from tsdiff_monitor.plugins import Context, Query, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame

DATABASES = ("sqlite", "postgresql")
HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")


class Store:
    """A database of a test's own. ``url`` is its SQLAlchemy address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url)
        self._readers: list[SqlReader] = []

    @property
    def schema(self) -> str:
        with self.engine.connect() as connection:
            return (
                "main" if self.is_sqlite else str(connection.execute(sa.text("SELECT current_schema()")).scalar_one())
            )

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def make(self, columns: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] = (), name: str = "events") -> None:
        """A new table of these column types, with these rows."""
        table = sa.Table(name, sa.MetaData(), *(sa.Column(column, kind) for column, kind in columns.items()))
        table.create(self.engine)
        self.add(rows, name)

    def add(self, rows: Sequence[Mapping[str, Any]], name: str = "events") -> None:
        """More rows; columns left out are NULL."""
        if not rows:
            return
        with self.engine.begin() as connection:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            columns = [column.name for column in table.columns]
            connection.execute(table.insert(), [{column: row.get(column) for column in columns} for row in rows])

    def reader(self, **config: Any) -> SqlReader:
        """A reader of the table ``events`` by its column ``t``, closed at the end of the test."""
        source = {} if "query" in config else {"table": "events"}
        found = SqlReader(SqlReader.Config(**{"url": self.url, "time": "t", **source, **config}), Context())
        self._readers.append(found)
        return found

    def close(self) -> None:
        for one in self._readers:
            one.close()
        self.engine.dispose()

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def has(self, name: str) -> bool:
        return sa.inspect(self.engine).has_table(name)

    def rows(self, name: str = "events") -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one())


@contextmanager
def new_store(kind: str, fixtures: pytest.FixtureRequest, folder: Path) -> Iterator[Store]:
    """An empty SQLite file, or an empty schema of the real PostgreSQL."""
    if kind == "sqlite":
        with closing(Store(f"sqlite:///{folder / 'events.sqlite'}")) as store:
            yield store
        return
    server = sa.make_url(fixtures.getfixturevalue("postgres_server"))
    schema = f"t{uuid.uuid4().hex}"
    with closing(
        Store(server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False))
    ) as store:
        store.run(f"CREATE SCHEMA {schema}")
        yield store
        store.run(f"DROP SCHEMA {schema} CASCADE")


def request(rows: int = 5, groupby: tuple[str, ...] = (), first: int = 0, **queries: str) -> ReadRequest:
    """``rows`` minutes, ``first`` minutes after :data:`HOUR`."""
    asked = tuple(Query(name, expr) for name, expr in queries.items())
    start = HOUR + first * MINUTE
    return ReadRequest(asked, start, start + rows * MINUTE, MINUTE, groupby)


def only(reading_frames: Mapping[Any, Frame]) -> Frame:
    """The frame of a monitor that does not group."""
    assert list(reading_frames) == [()]
    return reading_frames[()]


def seconds(minutes: float) -> int:
    """Seconds since the epoch, ``minutes`` after :data:`HOUR`."""
    return int(HOUR.timestamp() + 60 * minutes)
