"""The Prometheus reader on real servers: Prometheus and VictoriaMetrics that hold the same history."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import httpx
import numpy as np
import pandas as pd
import pytest

from tests.connectors.conftest import PrometheusServer, SecurePrometheus, SecureServer
from tests.connectors.prometheus.prometheus_stub import HOUR, MINUTE, column, request
from tests.servers.stores import start_victoria
from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, Query, ReadRequest
from tsdiff_monitor.testing import ReaderConformance

FIRST = int(HOUR.timestamp())


def _history() -> list[tuple[str, float, int]]:
    """Two hours: a gauge of two instances, one of them away for 20 minutes; two cores; a counter that is reset."""
    lines = []
    for k in range(120):
        at = FIRST + 60 * k
        lines.extend((f'{name}{{instance="a",job="x"}}', k, at) for name in ("pr_load", "pr_twin"))
        if not 40 <= k < 60:
            lines.append(('pr_load{instance="b",job="x"}', 1000 + k, at))
        lines.extend((f'pr_temp{{instance="a",core="{core}"}}', 30 + core, at) for core in (0, 1))
        lines.append(('pr_requests_total{instance="a"}', 90 * (k % 60) + 7, at))
    return sorted(lines, key=lambda line: line[0])


def reader(url: str, **config: Any) -> PrometheusReader:
    """A reader of this server, of which no retry takes time."""
    config = {"url": url, "retries": 0, **config}
    return PrometheusReader(PrometheusReader.Config.model_validate(config), Context("prom"), sleep=lambda _: None)


def refusal(of: PrometheusReader, *queries: str | Query, last: int = 10, **options: Any) -> SourceError:
    """The error that these queries give."""
    with pytest.raises(SourceError) as caught:
        of.read(request(0, last, *queries, **options))
    return caught.value


@pytest.fixture(scope="module")
def prometheus(prometheus_server: PrometheusServer) -> str:
    """A Prometheus with the history."""
    text = "".join(f"{series} {value} {at}\n" for series, value, at in _history())
    return prometheus_server(history=f"{text}# EOF\n")


@pytest.fixture(scope="module")
def victoria(victoria_server: str) -> str:
    """A VictoriaMetrics with the history."""
    text = "".join(f"{series} {value} {at * 1000}\n" for series, value, at in _history())
    httpx.post(f"{victoria_server}/api/v1/import/prometheus", content=text).raise_for_status()
    httpx.get(f"{victoria_server}/internal/force_flush").raise_for_status()
    return victoria_server


@pytest.fixture(params=["prometheus", "victoria"])
def server(request: pytest.FixtureRequest) -> str:
    """Either of the two."""
    return str(request.getfixturevalue(request.param))


class _Conformance(ReaderConformance):
    url: str

    def make(self) -> PrometheusReader:
        return reader(self.url, max_points_per_query=7)

    def request(self) -> ReadRequest:
        queries = (Query("load", "pr_load"), Query("rate", "rate(pr_requests_total[5m])"))
        return ReadRequest(queries, HOUR + 10 * MINUTE, HOUR + 35 * MINUTE, MINUTE, ("instance",))

    def broken(self) -> PrometheusReader:
        return reader("http://127.0.0.1:1")


class TestOnPrometheus(_Conformance):
    """The promises of every reader, on Prometheus."""

    @pytest.fixture(autouse=True)
    def _server(self, prometheus: str) -> None:
        self.url = prometheus


class TestOnVictoria(_Conformance):
    """The promises of every reader, on VictoriaMetrics."""

    @pytest.fixture(autouse=True)
    def _server(self, victoria: str) -> None:
        self.url = victoria


def test_every_row_is_there_with_any_parts(server: str) -> None:
    """In one request or in many, in one reading or tick by tick."""
    whole = reader(server).read(request(0, 120, "pr_load"))
    assert column(whole, 'pr_load{job="x"}') == list(range(120))
    parts = reader(server, max_points_per_query=7).read(request(0, 120, "pr_load"))
    ticking = reader(server)
    for now in range(60, 121, 5):
        reading = ticking.read(request(now - 60, now, "pr_load"))
        for group, frame in reading.frames.items():
            np.testing.assert_array_equal(frame.values, whole.frames[group].rows(now - 60, now).values)
    for group, frame in whole.frames.items():
        np.testing.assert_array_equal(parts.frames[group].values, frame.values)


def test_a_series_that_went_away_is_missing(server: str) -> None:
    """Once the server's look-back is over there are gaps, not old values; then it comes again."""
    found = column(reader(server).read(request(0, 120, "pr_load")), 'pr_load{job="x"}', "b")
    assert found[:40] == [1000 + k for k in range(40)]
    assert np.isnan(found[46:60]).all()
    assert found[60:] == [1000 + k for k in range(60, 120)]


def test_a_counter_that_is_reset_is_the_querys_business(server: str) -> None:
    """``rate`` sees through the reset; a counter read as it is falls."""
    asked = (Query("rate", "rate(pr_requests_total[5m])"), Query("raw", "pr_requests_total"))
    reading = reader(server).read(request(10, 120, *asked))
    assert np.nanmin(np.diff(column(reading, "raw"))) < -5000
    assert all(0.5 < value < 2.5 for value in column(reading, "rate"))


def test_offset_and_coarser_steps(server: str) -> None:
    """The row at t holds the value at t - offset, also off the step and over more points than a server rounds."""
    asked = (
        Query("late", "pr_load", offset=pd.Timedelta("10min")),
        Query("clock", "time()", offset=pd.Timedelta("30s")),
        Query("held", "time()", step=pd.Timedelta("15min")),
    )
    clock = reader(server).read(request(20, 110, asked[1], groupby=())).frames[()]
    np.testing.assert_array_equal(clock.values[:, 0], (clock.times.asi8 // 10**9 - 30).astype(np.float32))
    held = reader(server).read(request(20, 110, asked[2], groupby=())).frames[()]
    expected = held.times.floor("15min").asi8 // 10**9
    np.testing.assert_array_equal(held.values[:, 0], expected.astype(np.float32))
    late = column(reader(server).read(request(20, 110, asked[0])), 'late{job="x"}')
    assert late == list(range(10, 100))


def test_victoria_does_not_move_points_off_the_step(server_folder: Callable[[str], Path]) -> None:
    """With its cache on it rounds ranges of 50 points and more to the step, unless it is set not to."""
    store = start_victoria(server_folder("caching"), flags=["-search.disableCache=false"])
    try:
        query = Query("clock", "time()", offset=pd.Timedelta("30s"))
        moved = refusal(reader(store.url, extra_params={"nocache": "0"}), query, last=110, groupby=())
        assert moved.reason == "misaligned"
        frame = reader(store.url).read(request(0, 110, query, groupby=())).frames[()]
        np.testing.assert_array_equal(frame.values[:, 0], (frame.times.asi8 // 10**9 - 30).astype(np.float32))
    finally:
        store.stop()


@pytest.mark.parametrize("start", ["2024-03-01T00:00", "2024-09-01T00:00"], ids=["spring", "autumn"])
def test_local_days_over_a_change_of_the_clocks(server: str, start: str) -> None:
    """Every hour of two months holds the moment of its own day's local midnight."""
    first = pd.Timestamp(start, tz="Europe/Berlin").tz_convert("UTC")
    query = Query("day", "time() - 1.7e9", step=pd.Timedelta("1D"), tz="Europe/Berlin")
    asked = ReadRequest((query,), first, first + pd.Timedelta("62D"), pd.Timedelta("1h"))
    frame = reader(server).read(asked).frames[()]
    midnights = frame.times.tz_convert("Europe/Berlin").normalize().tz_convert("UTC").asi8 // 10**9
    np.testing.assert_array_equal(frame.values[:, 0], (midnights - 1.7e9).astype(np.float32))


def test_an_unknown_metric_is_absent(server: str) -> None:
    """An empty answer is no error."""
    assert reader(server).read(request(0, 10, "pr_no_such_metric")).frames == {}


def test_bad_promql_is_reported_in_the_servers_words(server: str) -> None:
    """With the reader's and the query's name, and no hope for a retry."""
    error = refusal(reader(server), Query("errors", "sum(pr_load"))
    assert (error.reason, error.recoverable) == ("bad_query", False)
    assert str(error).startswith("reader 'prom': the query 'errors' was refused: ")
    assert "sum(pr_load" in str(error) or "unclosed" in str(error)


def test_what_cannot_be_evaluated_is_reported(prometheus: str) -> None:
    """Prometheus' 422, which says what does not match."""
    error = refusal(reader(prometheus), Query("ratio", "pr_load / on(job) pr_load"))
    assert error.reason == "bad_query"
    assert "execution" in str(error)


def test_too_many_samples_for_the_server_comes_with_advice(prometheus_server: PrometheusServer) -> None:
    """The server's own limit, and the key that helps."""
    text = "".join(f'pr_many{{instance="{n}"}} 1 {FIRST + 60 * k}\n' for n in range(9) for k in range(20)) + "# EOF\n"
    url = prometheus_server(history=text, flags=["--query.max-samples=50"])
    error = refusal(reader(url), "pr_many")
    assert "too many samples" in str(error)
    assert "`max_points_per_query`" in str(error)
    assert len(reader(url, max_points_per_query=2, concurrency=1).read(request(0, 10, "pr_many")).frames) == 9


def test_groups_that_do_not_fit_are_reported(server: str) -> None:
    """Too many series, two that coincide, and a label that is not there."""
    assert refusal(reader(server, max_series=1), "pr_load").reason == "too_many_series"
    twins = refusal(reader(server), Query("load", '{__name__=~"pr_load|pr_twin"}'))
    assert twins.reason == "duplicate"
    assert "pr_load and pr_twin: give each a query of its own" in str(twins)
    assert refusal(reader(server), "sum(pr_load)").reason == "bad_request"
    assert refusal(reader(server), 'label_replace(pr_temp, "x", "y", "", "")', groupby=("job",)).reason == "bad_request"


def test_a_wrong_address_is_reported(server: str) -> None:
    """Prometheus answers 404 in plain text, VictoriaMetrics 400: either way a sentence, not a traceback."""
    error = refusal(reader(f"{server}/nowhere"), "up")
    assert error.reason in ("client_error", "bad_query")
    assert "reader 'prom': the query 'up'" in str(error)


def test_the_future_is_not_asked_for(prometheus: str) -> None:
    """A clock that is ahead of the server's brings rows without values, and no error."""
    ahead = pd.Timestamp.now("UTC").floor("min") + pd.Timedelta("1h")
    asked = ReadRequest((Query("load", "pr_load"),), ahead, ahead + 10 * MINUTE, MINUTE, ("instance",))
    assert reader(prometheus).read(asked).frames == {}


def test_credentials_open_a_secured_server(secure_prometheus: SecureServer) -> None:
    """Authority, user and password, and where it is asked for a certificate of our own."""
    for mutual in (False, True):
        secured = secure_prometheus(mutual=mutual)
        tls: dict[str, Any] = {"ca_file": str(secured.ca_file)}
        if mutual:
            tls |= {"cert_file": str(secured.client.cert_file), "key_file": str(secured.client.key_file)}
        basic = {"username": secured.username, "password": secured.password}
        found = reader(secured.url, tls_config=tls, basic_auth=basic).read(request(0, 5, "time()", groupby=()))
        assert found.frames[()].observed.all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: {"basic_auth": {"username": s.username, "password": "wrong-secret"}}, "auth"),
        (lambda s: {"basic_auth": None}, "auth"),
        (lambda s: {"tls_config": {}}, "tls"),
        (lambda s: {"url": s.url.replace("https", "http")}, "bad_query"),
    ],
    ids=["wrong password", "no password", "unknown authority", "plain HTTP"],
)
def test_what_keeps_us_out_is_reported_without_secrets(
    secure_prometheus: SecureServer, change: Callable[[SecurePrometheus], dict[str, Any]], reason: str
) -> None:
    """Which credentials or certificates do not fit."""
    secured = secure_prometheus()
    config: dict[str, Any] = {
        "url": secured.url,
        "basic_auth": {"username": secured.username, "password": secured.password},
        "tls_config": {"ca_file": str(secured.ca_file)},
    } | change(secured)
    error = refusal(reader(**config), "up")
    assert error.reason == reason
    assert secured.password not in str(error)
    assert "wrong-secret" not in str(error)


def _varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + _varint(number >> 7) if number > 127 else bytes([number])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def test_a_stale_marker_ends_a_series(prometheus_server: PrometheusServer) -> None:
    """Prometheus' own mark of a target that died: the rows after it are missing at once, not five minutes later."""
    url = prometheus_server(fresh=True)
    labels = b"".join(
        _field(1, _field(1, name) + _field(2, value))
        for name, value in ((b"__name__", b"pr_dead"), (b"instance", b"a"))
    )
    marker = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    written = [(FIRST, 1.0), (FIRST + 60, 2.0), (FIRST + 90, marker)]
    samples = b"".join(
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at * 1000)) for at, value in written
    )
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
    content = bytes(cramjam.snappy.compress_raw(_field(1, labels + samples)))
    httpx.post(f"{url}/api/v1/write", content=content, headers=headers).raise_for_status()
    found = column(reader(url).read(request(0, 5, "pr_dead")), "pr_dead")
    np.testing.assert_array_equal(found, [1, 2, np.nan, np.nan, np.nan])
