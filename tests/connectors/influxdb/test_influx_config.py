"""Which keys each version takes, and what is said of the others."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from pydantic import ValidationError

from tests.connectors.influxdb.influx_replay import Replay, Reply, closing_readers, influx_reader
from tests.connectors.influxdb.test_influx_windows import HOUR, MINUTE
from tsdiff_connectors.influxdb import InfluxConfig, InfluxReader
from tsdiff_connectors.influxdb.query_text import check_given, is_given
from tsdiff_connectors.influxdb.shorthand import parse_selection
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Query, ReadRequest

__all__ = ["closing_readers"]  # a fixture of every test here

ONE: dict[str, Any] = {"version": 1, "url": "http://localhost:8086", "database": "telegraf"}
TWO: dict[str, Any] = {"version": 2, "url": "http://localhost:8086", "org": "acme", "token": "tok-en-1"}
THREE: dict[str, Any] = {"version": 3, "url": "http://localhost:8181", "database": "metrics"}


@pytest.mark.parametrize(
    ("options", "language"),
    [
        (ONE, "influxql"),
        (ONE | {"retention_policy": "weekly", "token": "user:word"}, "influxql"),
        (TWO, "flux"),
        (TWO | {"authorization": {"credentials": "x"}, "token": None}, "flux"),
        (ONE | {"version": 2, "language": "influxql", "token": "tok-en-1"}, "influxql"),
        (THREE | {"token": "tok-en-1"}, "sql"),
        (THREE | {"language": "influxql"}, "influxql"),
    ],
)
def test_what_each_version_takes(options: dict[str, Any], language: str) -> None:
    """The language is the version's own unless another is chosen."""
    assert InfluxConfig(**options).spoken == language


BASIC = {"username": "u", "password": "p"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ONE | {"database": None}, "version 1 in influxql needs `database`"),
        (ONE | {"bucket": "b"}, "`bucket` has no effect with version 1"),
        (ONE | {"language": "flux"}, "InfluxDB 1 is read in `influxql`, not in `flux`"),
        (TWO | {"org": None}, "version 2 in flux needs `org`"),
        (TWO | {"token": None}, "version 2 in flux needs `token`"),
        (TWO | {"token": None, "basic_auth": BASIC}, "takes no user name and password"),
        (TWO | {"token": None, "url": "http://u:p@localhost"}, "takes no user name and password"),
        (TWO | {"database": "b"}, "`database` has no effect.*buckets"),
        (TWO | {"language": "sql"}, "`flux` or `influxql`, not in `sql`"),
        (TWO | {"tls_config": {"server_name": "x"}}, r"`tls_config\.server_name` cannot be given"),
        (TWO | {"url": "http://localhost?x=1"}, "carries parameters"),
        (TWO | {"basic_auth": BASIC}, "both as `token` and as `basic_auth`"),
        (ONE | {"token": "x", "http_headers": {"Authorization": "y"}}, "both as `token` and as the header"),
        (ONE | {"token": "x", "authorization": {"credentials": "y"}}, "both as `token` and as `authorization`"),
        (THREE | {"database": None}, "version 3 in sql needs `database`"),
        (THREE | {"retention_policy": "x"}, "`retention_policy` has no effect"),
        (THREE | {"version": 4}, "1, 2 or 3"),
        (THREE | {"buckets": "x"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    """Nothing that was written is silently without effect."""
    with pytest.raises(ValidationError, match=message) as caught:
        InfluxConfig(**options)
    assert "tok-en-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expr", "message"),
    [
        (TWO, "cpu.idle", "reads the reader's `bucket`, which is not set"),
        (TWO | {"bucket": "b"}, "SELECT x FROM y", "written in SQL or InfluxQL, and this reader speaks flux"),
        (ONE, 'from(bucket: "b") |> range(start: v.timeRangeStart)', "written in Flux.*speaks influxql"),
        (ONE, "SELECT x FROM y", r"write `WHERE \$timeFilter`"),
        (THREE, "cpu idle", "lacks a dot between measurement and field"),
        (THREE, 'cpu.idle{host=~"a\\\\"}', "ends in a backslash"),
    ],
)
def test_queries_that_do_not_fit_are_not_sent(options: dict[str, Any], expr: str, message: str) -> None:
    """With the query's name and what to write, and as an error that no retry fixes."""
    reader = influx_reader(**options)
    with pytest.raises(SourceError, match=rf"the query 'load'.*{message}") as caught:
        reader.read(ReadRequest((Query("load", expr),), HOUR, HOUR + MINUTE, MINUTE))
    assert (caught.value.reason, caught.value.recoverable) == ("bad_request", False)


def test_the_documented_example_works() -> None:
    """The configuration at the top of the page is valid, and so are its queries."""
    page = (Path(__file__).parents[3] / "docs/influxdb.md").read_text()
    example = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    options = {name: value for name, value in example["readers"]["tsdb"].items() if name != "type"}
    queries = [
        one["expr"] if isinstance(one, dict) else one for one in example["monitors"]["hosts"]["queries"].values()
    ]
    spoken = InfluxConfig(**options).spoken
    assert [is_given(text, spoken) for text in queries] == [False, False, False, True]
    for text in queries:
        if is_given(text, spoken):
            check_given(text, spoken, MINUTE.as_unit("ns").value, None)
        else:
            parse_selection(text)


@pytest.mark.parametrize("key", sorted(set(InfluxConfig.model_fields) - set(HttpOptions.model_fields)))
def test_every_key_is_documented(key: str) -> None:
    """In the page's table of keys."""
    page = (Path(__file__).parents[3] / "docs/influxdb.md").read_text()
    assert re.search(rf"^\| [^|]*`{key}`[^|]* \|", page, re.MULTILINE)


def test_secrets_are_not_shown() -> None:
    """Neither the reader nor its configuration shows the token."""
    reader = influx_reader(2, "http://localhost:8086", org="acme", token="tok-en-1")
    assert "tok-en-1" not in f"{reader!r}{reader} {InfluxConfig(**TWO)!r}"


def test_queries_run_side_by_side() -> None:
    """Several queries are under way at once, the answer is in their order, and one failure is the whole's."""
    together = threading.Barrier(3, timeout=20)

    def answer(asked: Any) -> Reply:
        together.wait()
        value = 3 if "three" in asked.body else 1
        series = f'{{"columns":["time","f"],"values":[[{HOUR.value},{value}]]}}'
        return Reply.text(f'{{"results":[{{"series":[{series}]}}]}}')

    replay = Replay(answer)
    try:
        reader = influx_reader(1, replay.url, database="x", retries=0)
        queries = tuple(Query(name, f"{name}.f") for name in ("one", "two", "three"))
        frame = reader.read(ReadRequest(queries, HOUR, HOUR + MINUTE, MINUTE)).frames[()]
        assert frame.names == ("one", "two", "three")
        assert frame.values[0].tolist() == [1, 1, 3]
        replay.answer = lambda asked: Reply.text("", status=500 if "two" in asked.body else 200)
        with pytest.raises(SourceError):
            reader.read(ReadRequest(queries, HOUR, HOUR + 2 * MINUTE, MINUTE))
    finally:
        replay.close()


@pytest.mark.parametrize("options", [ONE, ONE | {"version": 2, "language": "influxql", "token": "tok-en-1"}])
def test_influxql_goes_out_in_chunks(options: dict[str, Any]) -> None:
    """To `/query`, of InfluxDB 1 and through the mappings of 2, with times in nanoseconds."""
    replay = Replay(lambda asked: Reply.text('{"results":[{"statement_id":0}]}'))
    try:
        reader = influx_reader(**{**options, "url": replay.url, "retention_policy": "weekly"})
        assert reader.read(ReadRequest((Query("q", "m.f"),), HOUR, HOUR + MINUTE, MINUTE)).frames == {}
    finally:
        replay.close()
    (asked,) = replay.asked
    form = parse_qs(asked.body)
    assert (asked.path, asked.headers.get("authorization")) == (
        "/query",
        "Token tok-en-1" if "token" in options else None,
    )
    assert form["db"] + form["rp"] + form["epoch"] + form["chunked"] == ["telegraf", "weekly", "ns", "true"]
    assert 'FROM "weekly"."m"' in form["q"][0]


def test_too_many_series_are_refused() -> None:
    """The limit holds over all queries, and the error says which brings most."""
    series = ",".join(f'{{"tags":{{"h":"{i}"}},"columns":["time","f"],"values":[[{HOUR.value},1]]}}' for i in range(3))
    replay = Replay(lambda asked: Reply.text(f'{{"results":[{{"series":[{series}]}}]}}'))
    try:
        reader = influx_reader(1, replay.url, database="x", max_series=2)
        with pytest.raises(SourceError) as caught:
            reader.read(ReadRequest((Query("q", "m.f"),), HOUR, HOUR + MINUTE, MINUTE))
    finally:
        replay.close()
    assert caught.value.reason == "too_many_series"


def test_the_reader_names_its_query_options() -> None:
    """A configuration may use these, and is refused with any other."""
    assert InfluxReader.query_options == {"step", "offset", "tz", "max_points_per_query"}
