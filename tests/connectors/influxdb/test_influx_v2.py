"""InfluxDB 2: the real ``influxdb-client`` against a server that replays annotated CSV."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.connectors.influxdb.influx_cases import START, TOKEN, Serve, ShortForm, request, serve
from tests.connectors.influxdb.influx_replay import Asked, Reply, annotated, closing_readers, flux_answer, influx_reader
from tests.servers.certificates import Authority
from tests.servers.faults import FaultProxy
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["closing_readers", "serve"]  # fixtures

GIVEN = 'from(bucket: "b") |> range(start: v.timeRangeStart, stop: v.timeRangeStop)'
WINDOWS = f'{GIVEN} |> filter(fn: (r) => r._field == "idle") |> aggregateWindow(every: v.windowPeriod, fn: mean)'
DATA = {
    (("_measurement", "cpu"), ("_field", "idle"), ("host", host)): {
        START + 30 * i: (100.0 * k + i) if host == "a" else 100 * k + i for i in range(40)
    }
    for k, host in enumerate("ab")
}


def reader(url: str, **config: Any) -> InfluxReader:
    """A reader of one organization."""
    options = {"org": "acme", "token": TOKEN, "bucket": "telegraf/autogen", "retries": 0, **config}
    return influx_reader(2, url, **{name: value for name, value in options.items() if value is not None})


def read(url: str, expr: str = GIVEN, **config: Any) -> Frame:
    """The one frame that a query brings, without warnings."""
    reading = reader(url, **config).read(request(Query("q", expr)))
    assert not reading.warnings
    return reading.frames[()]


class TestShortForm(ShortForm):
    """The promises of every reader, kept for queries in the short form."""

    def reader(self, url: str) -> InfluxReader:
        return reader(url)

    def answer(self, asked: Asked) -> Reply:
        return flux_answer(DATA)(asked)


class TestFlux(TestShortForm):
    """The promises of every reader, kept for Flux whose windows bear their ends, and for a coarser step."""

    def request(self) -> ReadRequest:
        coarse = Query("late", "cpu.idle | last", step=pd.Timedelta("5min"), offset=pd.Timedelta("1min"))
        return request(Query("idle", WINDOWS), coarse, rows=16, groupby=("host",))


def test_windows_that_bear_their_end_stand_where_they_begin(serve: Serve) -> None:
    """Flux labels a window with its end; its row is the one it begins with, as in the short form and in InfluxQL."""
    url = serve(flux_answer(DATA)).url
    text = f'{WINDOWS} |> drop(columns: ["_measurement", "_field"])'
    given = reader(url).read(request(Query("q", text), groupby=("host",)))
    short = reader(url).read(request(Query("q", "cpu.idle"), groupby=("host",)))
    for group, frame in short.frames.items():
        assert frame.values[:, 0].tolist() == given.frames[group].values[:, 0].tolist()
        assert frame.observed.all()


def test_the_client_sends_what_was_configured(serve: Serve) -> None:
    """Token, organization, headers and the query arrive, in one request a query, bounded in time."""
    replay = serve("")
    source = reader(replay.url, http_headers={"X-Team": "sre"})
    assert source.read(request(Query("q", 'cpu.idle{host="a"} | p95'))).frames == {}
    (asked,) = replay.asked
    assert asked.path == "/api/v2/query?org=acme"
    assert (asked.headers["authorization"], asked.headers["x-team"]) == ("Token tok-en-1", "sre")
    assert 'from(bucket: "telegraf/autogen")' in asked.query
    assert "range(start: 2024-05-01T03:00:00Z, stop: 2024-05-01T03:10:00Z)" in asked.query


@pytest.mark.parametrize("expr", ["cpu.idle | count", WINDOWS])
def test_a_window_that_is_still_going_on_is_left_out(serve: Serve, expr: str) -> None:
    """With any part of it on the server; the rows of whole windows are there."""
    replay = serve(flux_answer(DATA))
    reading = reader(replay.url, now=START + 5 * 60 + 59).read(request(Query("q", expr), groupby=("host",)))
    assert "stop: 2024-05-01T03:05:00Z" in replay.asked[0].query
    for frame in reading.frames.values():
        assert frame.observed[:, 0].tolist() == [True] * 5 + [False] * 5


@pytest.mark.parametrize("asked_for", [True, False])
def test_compression_is_asked_for_when_configured(serve: Serve, asked_for: bool) -> None:
    """And what comes compressed is read, `max_response_bytes` counting what it becomes."""
    replay = serve(Reply((gzip.compress(GOOD.encode()),), headers={"Content-Encoding": "gzip"}))
    assert read(replay.url, enable_compression=asked_for).observed.any()
    assert ("gzip" in replay.asked[0].headers.get("accept-encoding", "")) == asked_for
    replay.answer = lambda asked: Reply((gzip.compress(bytes(10**7)),), headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceError, match="larger than 100,000 bytes"):
        read(replay.url, max_response_bytes=100_000)


def test_tables_of_mixed_types_are_all_read(serve: Serve) -> None:
    """One field may be a float in one table, a whole number or a boolean in the next, in several results."""
    body = annotated(
        ({"host": "a"}, "_result", [("2024-05-01T03:00:00Z", 1.5), ("2024-05-01T03:01:00.5Z", 2.5)]),
        ({"host": "b"}, "_result", [("2024-05-01T03:00:00Z", 7)]),
        ({"host": "c"}, "mean", [("2024-05-01T03:00:00Z", True), ("2024-05-01T03:01:59.999999999Z", False)]),
    )
    frame = read(serve(body).url)
    assert frame.names == ('q{host="a"}', 'q{host="b"}', 'q{host="c"}')
    assert np.array_equal(frame.values[:2], np.array([[1.5, 7, 1], [2.5, np.nan, 0]], np.float32), equal_nan=True)


def test_rows_may_come_without_groups(serve: Serve) -> None:
    """After `group()` all rows are in one table: text columns still distinguish the series."""
    tables = [
        ({"host": host}, "_result", [("2024-05-01T03:00:00Z", value)]) for host, value in (("a", 1.0), ("b", 2.0))
    ]
    body = annotated(*tables).replace(",1,2024", ",0,2024").replace("true,true", "false,false")
    assert read(serve(body).url).values[0].tolist() == [1, 2]


PIVOTED = """#datatype,string,long,dateTime:RFC3339,double,long,string,boolean,string\r
#group,false,false,false,false,false,true,false,false\r
#default,_result,,,,,,,\r
,result,table,_time,idle,procs,host,up,note\r
,,0,2024-05-01T03:00:00Z,1.5,,"a,1",true,\r
,,0,2024-05-01T03:01:00Z,NaN,3,"a,1",,\r
"""


def test_pivoted_tables_are_read_column_by_column(serve: Serve) -> None:
    """Without `_value` each column of numbers is a series; an empty cell, a NaN and an empty tag are nothing."""
    frame = read(serve(PIVOTED).url)
    names = ('q{_field="idle",host="a,1"}', 'q{_field="procs",host="a,1"}', 'q{_field="up",host="a,1"}')
    assert frame.names == names
    assert np.array_equal(
        frame.values[:2], np.array([[1.5, np.nan, 1], [np.nan, 3, np.nan]], np.float32), equal_nan=True
    )


def test_text_is_left_out_with_a_warning(serve: Serve) -> None:
    """A table of text beside numbers is named in a warning; a query that brings nothing else is an error."""
    good = ({"_field": "n"}, "_result", [("2024-05-01T03:00:00Z", 1.0)])
    text = ({"_field": "note"}, "_result", [("2024-05-01T03:00:00Z", "fine")])
    reading = reader(serve(annotated(good, text)).url).read(request(Query("q", GIVEN)))
    assert "text in note was left out" in reading.warnings[0]
    assert reading.frames[()].names == ('q{_field="n"}',)
    with pytest.raises(SourceError, match="note holds text"):
        read(serve(annotated(text)).url)


GOOD = annotated(({"host": "a"}, "_result", [("2024-05-01T03:00:00Z", 1.0)]))
ERROR = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n"


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (GOOD + ERROR + ",engine: shard 7 is gone,897\r\n", "query_error", r"shard 7 is gone \(reference 897\)"),
        (ERROR + ',"no ""_value"", sorry",\r\n', "query_error", 'no "_value", sorry'),
        (GOOD + ERROR, "query_error", "ends before it says why"),
        (GOOD.rstrip() + "\r\n,,0,2024-05-01T00:00", "garbled", "a row of"),
        (GOOD + "#datatype,string\r\n", "garbled", "ends before a table begins"),
        ("<html>\n<p>hello</p>\n<p>there</p>\n</html>", "garbled", "lacks its annotations"),
        (GOOD.replace("1.0", "one"), "garbled", "number cannot be read"),
        (GOOD.replace("2024-05-01T03:00:00Z", "noon"), "garbled", "time cannot be read"),
        (GOOD.replace("_time", "_zeit"), "bad_request", "no column `_time`"),
    ],
)
def test_a_broken_answer_is_no_verdict(serve: Serve, body: str, reason: str, message: str) -> None:
    """Errors after good tables, cut and garbled answers: each an error with the query's name, never half the rows."""
    with pytest.raises(SourceError, match=rf"query 'q'.*{message}") as caught:
        read(serve(body).url)
    assert caught.value.reason == reason


def test_a_server_that_dies_mid_answer_is_no_verdict(serve: Serve) -> None:
    """Rows that came before the connection was lost are not taken for the answer; another try may bring it whole."""
    half = Reply((GOOD.encode(),), cut=True)
    replay = serve(half)
    with pytest.raises(SourceError) as caught:
        read(replay.url, retries=2)
    assert (caught.value.reason, len(replay.asked)) == ("connect", 3)
    replies = iter([half, Reply.text(GOOD)])
    replay.answer = lambda asked: next(replies)
    assert read(replay.url, retries=2).values[0, 0] == 1


@pytest.mark.parametrize(
    ("status", "body", "reason", "recoverable", "tries"),
    [
        (400, '{"code":"invalid","message":"compilation failed: loc 1:4: missing )"}', "client_error", False, 1),
        (401, '{"code":"unauthorized","message":"unauthorized access"}', "auth", False, 1),
        (404, '{"code":"not found","message":"could not find bucket \\"telegraf\\""}', "not_found", False, 1),
        (429, '{"code":"too many requests","message":"slow down"}', "rate_limited", True, 3),
        (503, "", "server_error", True, 3),
        (302, "", "redirect", False, 1),
    ],
)
def test_what_the_server_says_is_reported(
    serve: Serve, status: int, body: str, reason: str, recoverable: bool, tries: int
) -> None:
    """The message, a stable reason and whether a retry may help; 429 and 5xx are tried again, others not."""
    replay = serve(Reply.text(body, status=status, headers={"Location": "http://elsewhere.example/"}))
    with pytest.raises(SourceError) as caught:
        read(replay.url, retries=2)
    assert (caught.value.reason, caught.value.recoverable, len(replay.asked)) == (reason, recoverable, tries)
    if body:
        assert body.split('message":"')[1].split("\\")[0].rstrip('"}') in str(caught.value)


def test_wrong_credentials_are_reported_without_them(serve: Serve) -> None:
    """A server that repeats the token in its message does not put it into ours."""
    body = '{"code":"unauthorized","message":"no such token: tok-en-1"}'
    with pytest.raises(SourceError, match="check `token`") as caught:
        read(serve(Reply.text(body, status=401)).url)
    shown = f"{caught.value}{caught.value.__cause__!r}{caught.value.__context__!r}"
    assert TOKEN not in shown


def test_an_answer_that_is_too_large_is_cut_off(serve: Serve) -> None:
    """`max_response_bytes` bounds what is read of an answer without end."""
    rows = b",,0,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,2024-05-01T03:00:00Z,1,a\r\n" * 1000
    replay = serve(Reply((GOOD.encode(), *[rows] * 100_000)))
    with pytest.raises(SourceError, match="larger than 100,000 bytes") as caught:
        read(replay.url, max_response_bytes=100_000)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("pieces", [[b"#"] * 10_000, [GOOD.encode()] * 10_000])
def test_the_deadline_is_hard(serve: Serve, pieces: list[bytes]) -> None:
    """A server that drips bytes for ever, each in time for `read_timeout`, is given up after `timeout`."""
    replay = serve(Reply(pieces, pause=0.05))
    with pytest.raises(SourceError, match="no whole answer within 300ms") as caught:
        read(replay.url, timeout="300ms", read_timeout="5s")
    assert caught.value.reason == "timeout"


def test_the_deadline_holds_for_the_head_of_an_answer_too(
    serve: Serve, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """Before there is an answer the client cannot be interrupted; the reader goes on all the same."""
    proxy = fault_proxy(serve(GOOD).url)
    proxy.fault(drip=0.02)
    with pytest.raises(SourceError, match="no whole answer within 200ms") as caught:
        read(proxy.url, timeout="200ms", read_timeout="1s")
    assert caught.value.reason == "timeout"


def test_tls_is_checked(serve: Serve, authority: Authority) -> None:
    """The server's certificate must be signed by `ca_file`, unless the user trusts any server."""
    pair = authority.issue("influx2")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    url = serve(GOOD, tls).url
    assert read(url, tls_config={"ca_file": str(authority.ca_file)}).observed.any()
    assert read(url, tls_config={"insecure_skip_verify": True}).observed.any()
    with pytest.raises(SourceError, match=r"`tls_config\.ca_file`") as caught:
        read(url)
    assert caught.value.reason == "tls"


def test_a_proxy_is_used(serve: Serve) -> None:
    """Requests go through `proxy_url`, with its credentials in their own header."""
    replay = serve(GOOD)
    assert read("http://influx.example:8086", proxy_url=replay.url.replace("//", "//u:p-word@")).observed.any()
    assert replay.asked[0].path.startswith("http://influx.example:8086/api/v2/query")
    assert replay.asked[0].headers["proxy-authorization"].startswith("Basic ")


def test_redirects_are_followed_when_configured(serve: Serve) -> None:
    """With `follow_redirects` the query goes to the address that the server names, and not the token."""
    there = serve(GOOD)
    here = serve(Reply(status=307, headers={"Location": f"{there.url}/api/v2/query"}))
    assert read(here.url, follow_redirects=True).observed.any()
    assert "authorization" not in there.asked[0].headers


def test_rotated_tokens_take_effect(serve: Serve, tmp_path: Any) -> None:
    """A token by file is read at each request."""
    replay, file = serve(GOOD), tmp_path / "token"
    file.write_text("first-1\n")
    source = reader(replay.url, token=None, token_file=str(file))
    source.read(request(Query("q", GIVEN)))
    file.write_text("second-2\n")
    source.read(request(Query("q", GIVEN)))
    assert [asked.headers["authorization"] for asked in replay.asked] == ["Token first-1", "Token second-2"]


def test_a_server_that_hangs_leaves_few_threads() -> None:
    """An hour of ticks, one a minute, to a server that says nothing: 16 threads beyond `concurrency` at most."""
    before = {*threading.enumerate()}
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        source = reader(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="5ms", concurrency=1, read_timeout="5s")
        for minute in range(60):
            with pytest.raises(SourceError) as caught:
                source.read(request(Query(f"q{minute}", GIVEN)))
            assert (caught.value.reason, caught.value.recoverable) == ("timeout", True)
        assert "earlier queries are still without an end" in str(caught.value)
        assert sum(thread.name == "influxdb-query" for thread in {*threading.enumerate()} - before) <= 17
