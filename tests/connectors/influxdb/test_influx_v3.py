"""InfluxDB 3: SQL and InfluxQL against a server that replays JSON lines (there is no InfluxDB 3 here)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.connectors.influxdb.influx_cases import START, TOKEN, Serve, ShortForm, request, serve
from tests.connectors.influxdb.influx_replay import Asked, Reply, closing_readers, influx_reader, jsonl_answer
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, Reading

__all__ = ["closing_readers", "serve"]  # fixtures

SQL = """SELECT date_bin($interval, time) AS time, host, avg(idle) AS value FROM cpu
WHERE $timeFilter GROUP BY 1, host ORDER BY 1"""
DATA = {
    (("_measurement", "cpu"), ("_field", "idle"), ("host", host)): {START + 30 * i: 100.0 * k + i for i in range(40)}
    for k, host in enumerate("ab")
}


def reader(url: str, **config: Any) -> InfluxReader:
    """A reader of one database."""
    return influx_reader(3, url, **{"database": "metrics", "token": TOKEN, "retries": 0, **config})


def read(url: str, expr: str = SQL, **config: Any) -> Reading:
    """The frames that one query brings."""
    return reader(url, **config).read(request(Query("q", expr)))


class TestShortForm(ShortForm):
    """The promises of every reader, kept for queries in the short form, which go out in InfluxQL."""

    def reader(self, url: str) -> InfluxReader:
        return reader(url)

    def answer(self, asked: Asked) -> Reply:
        return jsonl_answer(DATA)(asked)


def test_sql_goes_out_with_the_span_put_in(serve: Serve) -> None:
    """Token, database, format and the bounds of time arrive at the endpoint of the language."""
    replay = serve("")
    assert read(replay.url, lookback=0).frames == {}
    (asked,) = replay.asked
    assert (asked.path, asked.headers["authorization"]) == ("/api/v3/query_sql", "Bearer tok-en-1")
    body = json.loads(asked.body)
    assert (body["db"], body["format"]) == ("metrics", "jsonl")
    assert "date_bin(INTERVAL '60 seconds', time)" in body["q"]
    assert "time >= '2024-05-01T03:00:00Z' AND time < '2024-05-01T03:10:00Z'" in body["q"]


@pytest.mark.parametrize(("expr", "language"), [("cpu.idle", None), ("SELECT x FROM y WHERE $timeFilter", "influxql")])
def test_influxql_goes_to_its_own_endpoint(serve: Serve, expr: str, language: str | None) -> None:
    """The short form always does, queries in full where `language` says so."""
    replay = serve("")
    read(replay.url, expr, language=language)
    assert replay.asked[0].path == "/api/v3/query_influxql"
    assert f"time < {(START + 600) * 10**9}" in replay.asked[0].query


def test_rows_of_changing_columns_are_read(serve: Serve) -> None:
    """A column without a value is left out of its row; text distinguishes series, numbers and booleans are values."""
    body = """{"time":"2024-05-01T03:00:00","host":"a","value":1}
{"time":"2024-05-01T03:00:00.5","host":"b","up":true}
{"time":"2024-05-01T03:01:00Z","host":"a","up":false,"value":null}
{"time":"2024-05-01T05:01:00.000000001+02:00","host":"b","value":2.5}
"""
    frame = read(serve(body).url).frames[()]
    assert frame.names == ('q{_field="up",host="a"}', 'q{_field="up",host="b"}', 'q{host="a"}', 'q{host="b"}')
    expected = np.array([[np.nan, 1, 1, np.nan], [0, np.nan, np.nan, 2.5]], np.float32)
    assert np.array_equal(frame.values[:2], expected, equal_nan=True)


def test_text_in_a_field_is_left_out_with_a_warning(serve: Serve) -> None:
    """In the short form it is known which columns are fields: text in one is no label."""
    body = '{"time":"2024-05-01T03:00:00","f":1,"note":"fine"}\n'
    reading = read(serve(body).url, "m.f,note | last")
    assert "text in note" in reading.warnings[0]
    assert reading.frames[()].names == ('q{_field="f"}',)


GOOD = '{"time":"2024-05-01T03:00:00","value":1}\n'


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (GOOD + '{"error":"query timeout"}\n', "query_error", "query timeout"),
        (GOOD + '{"time":"2024-05-01T03:01:00","val', "garbled", "not JSON"),
        (GOOD + "[]", "garbled", "not a row"),
        (GOOD + '{"time":"noon","value":1}', "garbled", "time cannot be read"),
        ('{"value":1}', "bad_request", "no column `time`"),
        (GOOD + GOOD, "duplicate", "two values of 'q' for one time"),
    ],
)
def test_a_broken_answer_is_no_verdict(serve: Serve, body: str, reason: str, message: str) -> None:
    """Errors after good rows, cut and garbled answers: each an error with the query's name, never half the rows."""
    with pytest.raises(SourceError, match=rf"query 'q'.*{message}") as caught:
        read(serve(body).url)
    assert caught.value.reason == reason


def test_a_server_that_dies_mid_answer_is_no_verdict(serve: Serve) -> None:
    """Rows that came before the connection was lost are not taken for the answer."""
    with pytest.raises(SourceError) as caught:
        read(serve(Reply((GOOD.encode(),), cut=True)).url)
    assert caught.value.reason == "connect"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, '{"error":"database not found: metrics"}', "not_found"),
        (400, '{"error":"Error during planning: table \'public.iox.cpu\' not found"}', "client_error"),
        (401, '{"error":"the request was not authenticated: tok-en-1"}', "auth"),
        (500, "", "server_error"),
    ],
)
def test_what_the_server_says_is_reported(serve: Serve, status: int, body: str, reason: str) -> None:
    """The message and a stable reason, without the token."""
    with pytest.raises(SourceError) as caught:
        read(serve(Reply.text(body, status=status)).url)
    assert caught.value.reason == reason
    assert (body[10:30] if body else "500") in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_an_answer_that_is_too_large_is_cut_off(serve: Serve) -> None:
    """`max_response_bytes` bounds what is read of an answer without end."""
    with pytest.raises(SourceError) as caught:
        read(serve(Reply([GOOD.encode() * 1000] * 100_000)).url, max_response_bytes=100_000)
    assert caught.value.reason == "too_large"


def test_the_deadline_is_hard(serve: Serve) -> None:
    """A server that drips rows for ever, each in time for `read_timeout`, is given up after `timeout`."""
    with pytest.raises(SourceError) as caught:
        read(serve(Reply([GOOD.encode()] * 10_000, pause=0.05)).url, timeout="300ms", read_timeout="5s")
    assert caught.value.reason == "timeout"
