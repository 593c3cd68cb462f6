"""The SQL reader's configuration, its sources, and what it says of input that is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy import event

from tests.connectors.sql.sql_events import DATABASES, HOUR, Store, new_store, only, request, seconds
from tsdiff_connectors.sql import SqlReader
from tsdiff_connectors.sql.syntax import FUNCTIONS
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing.checks import check_silent
from tsdiff_monitor.timeseries.frame import Frame, Group

COLUMNS = {
    "t": sa.BigInteger,
    "shop": sa.Integer,
    "status": sa.Text,
    "amount": sa.Double,
    "ok": sa.Boolean,
    "Strange; name": sa.Text,
}
ROWS = [
    {"t": seconds(0), "shop": 1, "status": "declined", "amount": 3.0, "ok": False, "Strange; name": "it's"},
    {"t": seconds(0.1), "shop": 2, "status": "x' OR '1'='1", "amount": 5.0, "ok": True, "Strange; name": ":a %s"},
]


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(request.param, request, tmp_path) as found:
        found.make(COLUMNS, ROWS)
        yield found


def failure(source: SqlReader, expr: str = "count", groupby: tuple[str, ...] = ()) -> SourceError:
    """The error of a reading."""
    with pytest.raises(SourceError) as caught:
        source.read(request(2, groupby, q=expr))
    return caught.value


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "give `url` or `url_file`"),
        ({"url": "somewhere"}, "write it like postgresql://user:password@host/name"),
        ({"query": "SELECT 1"}, "give either `table` or `query`"),
        ({"table": None}, "give either `table` or `query`"),
        ({"where": "amount >"}, "at its end: expected a number"),
        ({"tz": "Berlin"}, "not a known time zone"),
        ({"time_unit": "minutes"}, "'s', 'ms', 'us' or 'ns'"),
        ({"lateness": "-1m"}, "is not a duration"),
        ({"lookback": "0s"}, "must be longer than 0s"),
        ({"pool_size": 0}, "greater than or equal to 1"),
        ({"password": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_configurations_that_are_wrong(config: dict[str, Any], said: str) -> None:
    """Each is refused when the configuration is read, with what to write instead, and without the address."""
    given = {"table": "events", "time": "t", **({"url": "sqlite:///x"} if config else {}), **config}
    with pytest.raises(ValidationError) as caught:
        SqlReader.Config(**given)
    assert said in str(caught.value)
    assert "somewhere" not in str(caught.value)


@pytest.mark.parametrize(
    ("expr", "count"),
    [
        ("count where status = 'x'' OR ''1''=''1'", 1),
        ("count where \"Strange; name\" = 'it''s'", 1),
        ("count where \"Strange; name\" = ':a %s'", 1),
        ("count where status = '; DROP TABLE events; --'", 0),
        ("distinct(\"Strange; name\")", 2),
        ("count where ok = false", 1),
        ("count where ok in (true, 0)", 2),
        ("count where shop in (1, 2, 3) and not amount <= 3.5", 1),
    ],
)  # fmt: skip
def test_values_and_names_are_only_values_and_names(store: Store, expr: str, count: int) -> None:
    """A text or a quoted column may hold anything: it is compared, never run."""
    frame = only(store.reader().read(request(1, q=expr)).frames)
    assert frame.values[0, 0] == count
    assert store.rows() == 2


@pytest.mark.parametrize(
    "expr",
    [
        "count where 1=1; DROP TABLE events",
        "sum(amount); DELETE FROM events",
        "sum(amount) FROM events; --",
        "sum((SELECT 1))",
        "count where status = 'a' OR 1=1",
        "count where amount > (SELECT 0)",
        'distinct("t"" FROM events; DROP TABLE events; --")',
        "count where lower(status) = 'a'",
    ],
)
def test_injections_are_refused(store: Store, expr: str) -> None:
    """Text that is not of the small language is an error before anything reaches the database."""
    error = failure(store.reader(), expr)
    assert error.reason in {"bad_request", "not_found"}
    assert not error.recoverable
    assert "'q'" in str(error)
    assert store.rows() == 2


@pytest.mark.parametrize("key", ["shop; DROP TABLE events", 'shop"', "(SELECT 1)"])
def test_keys_are_columns_or_nothing(store: Store, key: str) -> None:
    """A `groupby` that names no column is refused."""
    assert "`groupby`: events has no column" in str(failure(store.reader(), groupby=(key,)))
    assert store.rows() == 2


@pytest.mark.parametrize(
    ("config", "expr", "reason", "said"),
    [
        ({"table": "event"}, "count", "not_found", "no table or view 'event' (did you mean 'events'?)"),
        ({"table": "zzz"}, "count", "not_found", "there are: events"),
        ({"time": "T"}, "count", "not_found", "`time`: events has no column 'T' (did you mean 't'?)"),
        ({"arrival": "arrived"}, "count", "not_found", "`arrival`: events has no column 'arrived'"),
        ({"where": "state = 'x'"}, "count", "not_found", "events has no column 'state' (did you mean 'status'"),
        ({}, "sum(amout)", "not_found", "query 'q': events has no column 'amout' (did you mean 'amount'?)"),
        ({}, "sum(status)", "bad_request", "query 'q': the column 'status' holds no numbers"),
        ({}, "count by arrival", "bad_request", "query 'q': `by arrival` needs the reader's key `arrival`"),
        ({}, "count where amount = 'x'", "bad_request", "'amount' holds numbers, so it cannot be compared with text"),
        ({}, "count where status > 5", "bad_request", "'status' holds text, so it cannot be compared with a number"),
        ({}, "count where ok = 'yes'", "bad_request", "'ok' is true or false"),
        ({}, "total(amount)", "bad_request", "query 'q': at 'total' (character 1): begin with one of count"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(store: Store, config: dict[str, Any], expr: str, reason: str, said: str) -> None:
    """The error says which reader, which query or key, and what may have been meant."""
    error = failure(store.reader(**config), expr)
    assert error.reason == reason
    assert not error.recoverable
    assert said in str(error)
    assert str(error).startswith("reader 'test': ") or said.startswith("query 'q': at")


def test_a_query_as_the_source(store: Store) -> None:
    """A SELECT stands for a table, with its colons, percent signs, comments and semicolon."""
    text = (
        "SELECT t AS at, shop, amount * 2 AS twice, status LIKE 'x%' AS is_x FROM events WHERE status <> ':a' -- all\n;"
    )
    source = store.reader(query=text, time="at")
    frames = source.read(request(1, ("shop",), total="sum(twice)", n="count where is_x = 1")).frames
    np.testing.assert_array_equal(frames[(("shop", "1"),)].values, [[6, 0]])
    np.testing.assert_array_equal(frames[(("shop", "2"),)].values, [[10, 1]])
    assert "`query` has no column 'amount'" in str(failure(source, "sum(amount)"))
    error = failure(store.reader(query="SELECT t, nothing FROM events"))
    assert error.reason in {"bad_request", "not_found"}
    if not store.is_sqlite:  # which gives the second another name
        assert "gives two columns" in str(failure(store.reader(query="SELECT t, shop AS t FROM events")))


@pytest.mark.parametrize("text", ["DELETE FROM events RETURNING t", "SELECT t FROM events; DELETE FROM events"])
def test_a_query_cannot_write(store: Store, text: str) -> None:
    """One statement, in a read-only transaction, as a part of a SELECT: nothing else gets through."""
    failure(store.reader(query=text))
    assert store.rows() == 2


def test_the_transaction_is_read_only(store: Store) -> None:
    """Not even a function that a SELECT calls can change anything: PostgreSQL says so, SQLite has none."""
    if store.is_sqlite:
        assert failure(store.reader(query="SELECT t FROM events; PRAGMA user_version = 5")).reason == "bad_request"
        return
    store.run("CREATE SEQUENCE counter")
    error = failure(store.reader(query="SELECT t, nextval('counter') AS n FROM events"))
    assert (error.reason, error.recoverable) == ("read_only", False)


def test_a_view_and_a_schema(store: Store) -> None:
    """Views serve like tables; a table of another schema is named with it."""
    store.run("CREATE VIEW dear AS SELECT * FROM events WHERE amount > 4")
    assert only(store.reader(table="dear").read(request(1, n="count")).frames).values[0, 0] == 1
    assert only(store.reader(table=f"{store.schema}.events").read(request(1, n="count")).frames).values[0, 0] == 2


def test_too_many_groups(store: Store) -> None:
    """More groups than `max_groups` are an error with a way out, not memory."""
    error = failure(store.reader(max_groups=1), groupby=("shop",))
    assert error.reason == "too_many_groups"
    assert "raise `max_groups`" in str(error)


def test_too_many_cells(store: Store) -> None:
    """A request that cannot be held in memory is refused before any memory is taken."""
    asked = replace(request(1, n="count"), end=HOUR + pd.Timedelta("30D"), step=pd.Timedelta("1ms"))
    with pytest.raises(SourceError, match="take more than 4 GiB") as caught:
        store.reader().read(asked)
    assert caught.value.reason == "too_large"


def test_a_type_that_is_compared_as_text(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """PostgreSQL's enums and uuids are keys and compare with text."""
    with new_store("postgresql", request, tmp_path) as store:
        store.run("CREATE TYPE state AS ENUM ('paid', 'void')")
        store.run("CREATE TABLE events (t bigint, id uuid, state state)")
        store.run(f"INSERT INTO events VALUES ({seconds(0)}, 'c0ffee00-0000-0000-0000-000000000000', 'paid')")
        asked = globals()["request"](1, ("id",), n="count where state = 'paid'", m="count where state in ('void')")
        frames = store.reader().read(asked).frames
        np.testing.assert_array_equal(frames[(("id", "c0ffee00-0000-0000-0000-000000000000"),)].values, [[1, 0]])


def test_text_among_sqlites_numbers_is_missing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A column of numbers may hold text in SQLite: it counts as no number, not as 0."""
    with new_store("sqlite", request, tmp_path) as store:
        store.make({"t": sa.BigInteger, "amount": sa.Double})
        store.run(f"INSERT INTO events VALUES ({seconds(0)}, 'n/a'), ({seconds(0)}, 4)")
        asked = globals()["request"](1, mean="mean(amount)", least="min(amount)", n="count")
        np.testing.assert_array_equal(only(store.reader().read(asked).frames).values, [[4, 4, 2]])


def test_keys_of_two_types_are_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """1 and '1' would be one group of two halves."""
    with new_store("sqlite", request, tmp_path) as store:
        store.run("CREATE TABLE events (t INTEGER, k)")
        store.run(f"INSERT INTO events VALUES ({seconds(0)}, 1), ({seconds(0)}, '1')")
        assert failure(store.reader(), groupby=("k",)).reason == "bad_data"


def test_the_address_comes_from_a_file_and_may_change(store: Store, tmp_path: Path) -> None:
    """The file is read at each reading: a rotated password needs no restart."""
    file = tmp_path / "address"
    file.write_text(f"{store.url}\n")
    source = store.reader(url=None, url_file=file)
    assert only(source.read(request(1, n="count")).frames).values[0, 0] == 2
    file.write_text("postgresql://user:s3cret@host:port/name")
    error = failure(source)
    assert error.reason == "config"
    check_silent(["s3cret"], error, source)
    file.write_text(store.url)
    assert only(source.read(request(1, n="count")).frames).values[0, 0] == 2


def test_the_libraries_are_loaded_when_they_are_needed() -> None:
    """A command that reads no database does not wait for SQLAlchemy, though it knows the reader."""
    code = "import sys, tsdiff_connectors.sql; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_driver_that_is_not_installed() -> None:
    """The error names what to install, and no password."""
    for url in ("mysql+nothing://u:s3cret@h/n", "oracle+oracledb://u:s3cret@h/n", "sqlite://"):
        source = SqlReader(SqlReader.Config(url=url, table="events", time="t"), Context())
        error = failure(source)
        assert error.reason in {"config", "bad_request"}
        check_silent(["s3cret"], error, source)


def test_the_page_is_complete() -> None:
    """docs/sql.md has a row for each key and each function."""
    page = (Path(__file__).parents[3] / "docs" / "sql.md").read_text()
    rows = "\n".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `"))
    for word in (*SqlReader.Config.model_fields, *FUNCTIONS):
        assert f"`{word}`" in rows or f"`{word}(" in rows, f"docs/sql.md does not document {word}"


def statements_of(
    source: SqlReader, groupby: tuple[str, ...], queries: Mapping[str, str], groups: frozenset[Group]
) -> tuple[Mapping[Group, Frame], list[tuple[str, Any]]]:
    """The frames of a reading, and the statements over events with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(*called: Any) -> None:
        seen.append((called[2], called[3]))

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        frames = source.read(replace(request(5, groupby, **queries), groups=groups)).frames
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
    return frames, [one for one in seen if "earlier" in one[0]]


KEYS = {"t": sa.BigInteger, "n": sa.Integer, "name": sa.Text, "ok": sa.Boolean, "share": sa.Double, "code": sa.CHAR(4)}
QUERIES = {"count": "count", "since": "seconds_since_last"}


@pytest.fixture
def keyed(store: Store) -> Store:
    """A table ``keyed`` of events whose keys are of every kind, some of them NULL."""
    keys = [
        {"n": at % 3, "name": ("it's", "1", "b'x'", None)[at % 4], "ok": at % 2 == 0, "share": at / 7, "code": f"c{at}"}
        for at in range(8)
    ]
    store.make(KEYS, [{"t": seconds(at / 2), **key} for at, key in enumerate(keys)], "keyed")
    return store


@pytest.mark.parametrize("groupby", [("n",), ("name",), ("ok",), ("share",), ("code",), ("name", "n"), ("share", "n")])
def test_the_groups_asked_for_are_those_of_a_whole_reading(keyed: Store, groupby: tuple[str, ...]) -> None:
    """Keys of any kind: the frames of the wanted groups are those of a reading of all, to the bit, and no others."""
    source = keyed.reader(table="keyed")
    whole = source.read(request(5, groupby, **QUERIES)).frames
    assert len(whole) > 1
    for wanted in (sorted(whole)[:1], sorted(whole)[1:]):
        found = source.read(replace(request(5, groupby, **QUERIES), groups=frozenset(wanted))).frames
        assert list(found) == wanted
        for group, frame in found.items():
            np.testing.assert_array_equal(frame.values, whole[group].values)
            assert frame.series == whole[group].series


def test_groups_are_asked_of_the_database(keyed: Store) -> None:
    """Their keys stand in the statements as parameters, and events of others are never fetched."""
    wanted = frozenset({(("name", "it's"),), (("name", "'; DROP TABLE keyed --"),)})
    frames, asked = statements_of(keyed.reader(table="keyed"), ("name",), QUERIES, wanted)
    assert set(frames) == {(("name", "it's"),)} and len(asked) == 2
    for statement, parameters in asked:
        assert "DROP" not in statement and " IN (" in statement
        assert "it's" in (parameters.values() if isinstance(parameters, dict) else parameters)


def test_many_groups_are_asked_for_in_portions(keyed: Store) -> None:
    """No statement grows beyond what a database takes; those without events, and no groups at all, are no error."""
    many = frozenset((("n", str(at)), ("name", "1")) for at in range(1200))
    frames, asked = statements_of(keyed.reader(table="keyed"), ("n", "name"), {"q": "count"}, many)
    assert set(frames) == {(("n", "1"), ("name", "1")), (("n", "2"), ("name", "1"))}
    assert len(asked) == 2 * 3
    huge = frozenset({(("n", str(10**30)),), (("n", "many"),)})
    assert not statements_of(keyed.reader(table="keyed"), ("n",), {"q": "count"}, huge)[0]
    nothing, asked = statements_of(keyed.reader(table="keyed"), ("n",), {"q": "count"}, frozenset())
    assert (nothing, asked) == ({}, [])
