"""InfluxDB 1 through InfluxQL, against a real InfluxDB 1.6."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.connectors.influxdb.influx_one import (
    HOUR,
    MINUTE,
    START,
    Load,
    closing_readers,
    cpu,
    load,
    only,
    reader,
    request,
    two_hosts,
)
from tests.connectors.influxdb.influx_replay import Replay, Reply
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.testing import ReaderConformance

__all__ = ["closing_readers", "load", "two_hosts"]  # fixtures


class TestShortForm(ReaderConformance):
    """The promises of every reader, kept for queries in the short form."""

    secrets = ("pass-word-1",)

    @pytest.fixture(autouse=True)
    def _data(self, two_hosts: str, influx1_server: str) -> None:
        self.url, self.database = influx1_server, two_hosts

    def make(self) -> InfluxReader:
        return reader(self.url, self.database, basic_auth={"username": "robot", "password": "pass-word-1"})

    def request(self) -> ReadRequest:
        return request(Query("idle", "cpu.idle"), Query("count", "cpu.idle | count"), groupby=("host",))

    def broken(self) -> InfluxReader:
        return reader("http://robot:pass-word-1@127.0.0.1:9", self.database, retries=0)


class TestInfluxql(TestShortForm):
    """The promises of every reader, kept for InfluxQL, derivatives at the seams included."""

    def request(self) -> ReadRequest:
        text = "SELECT {} AS value FROM cpu WHERE $timeFilter GROUP BY time($interval), host"
        mean, rate = text.format("mean(idle)"), text.format("derivative(mean(idle), 1s)")
        return request(Query("idle", mean), Query("rate", rate), groupby=("host",), start=HOUR + 2 * MINUTE)


class TestCoarse(TestShortForm):
    """The promises of every reader, kept for a coarser step and an offset."""

    def request(self) -> ReadRequest:
        step, offset = pd.Timedelta("4min"), pd.Timedelta("90s")
        queries = (
            Query("idle", "cpu.idle | max", step=step, max_points_per_query=2),
            Query("late", "cpu.idle", offset=offset),
        )
        return request(*queries, rows=16, groupby=("host",))


def test_rows_hold_the_window_that_begins_with_them(two_hosts: str, influx1_server: str) -> None:
    """The row at t is the aggregate over [t, t + step), and a series bears its query's name and the labels left."""
    frame = only(reader(influx1_server, two_hosts), request(Query("idle", 'cpu.idle{host="a"}'), groupby=("host",)))
    assert frame.names == ('idle{cpu="cpu0"}',)
    assert frame.values[:, 0].tolist() == [2 * m + 0.5 for m in range(10)]


@pytest.mark.parametrize(
    ("expr", "first"),
    [
        ("cpu.idle | sum by ()", 0 + 1 + 100 + 101),
        ('cpu.idle{host="b"} | first by ()', 100),
        ('cpu.idle{host!="b"} | count by ()', 2),
        ('cpu.idle{host=~"^(b|c)$"} | p50 by ()', 100),
        ('cpu.idle{host!~"b"} | spread by ()', 1),
        ('cpu.idle{rack=""} | max by ()', 101),
    ],
)
def test_matchers_and_aggregates_do_what_they_say(two_hosts: str, influx1_server: str, expr: str, first: float) -> None:
    """Each operator selects its series, and each aggregate pools their values."""
    frame = only(reader(influx1_server, two_hosts), request(Query("q", expr)))
    assert frame.names == ("q",)
    assert frame.values[0, 0] == first


def test_a_counter_becomes_a_rate(load: Load, influx1_server: str) -> None:
    """`rate` is the increase per second between windows; it knows nothing across a reset or a hole."""
    counts = [0, 60, 180, 10, 70, None, 190, 250]
    lines = [f"net,host=a bytes={c}i {(START + 60 * i) * 10**9}" for i, c in enumerate(counts) if c is not None]
    asked = request(Query("rx", "net.bytes | rate"), rows=7, groupby=("host",), start=HOUR + MINUTE)
    frame = only(reader(influx1_server, load(*lines)), asked)
    assert np.array_equal(
        frame.values[:, 0], np.array([1, 2, np.nan, 1, np.nan, np.nan, 1], np.float32), equal_nan=True
    )


def test_rates_are_added_up(load: Load, influx1_server: str) -> None:
    """`rate by` sums the rates of the series; where one of them is not known, the sum is not."""
    counts = {"eth0": [0, 60, 120, 180, 240, 300], "eth1": [0, 600, 1200, 10, 610, None]}
    lines = [
        f"net,host=a,dev={dev} bytes={c}i {(START + 60 * i) * 10**9}"
        for dev, values in counts.items()
        for i, c in enumerate(values)
        if c is not None
    ]
    asked = request(Query("rx", "net.bytes | rate by (host)"), rows=5, groupby=("host",), start=HOUR + MINUTE)
    frame = only(reader(influx1_server, load(*lines)), asked)
    assert frame.names == ("rx",)
    assert np.array_equal(frame.values[:, 0], np.array([11, 11, np.nan, 11, 1], np.float32), equal_nan=True)


def test_fields_are_distinguished(load: Load, influx1_server: str) -> None:
    """Several fields in one query are several series; numbers of all types count, and so does what is true."""
    lines = [f"m f={i}.5,n={i}i,up={str(i > 3).lower()} {(START + 60 * i) * 10**9}" for i in range(10)]
    frame = only(reader(influx1_server, load(*lines)), request(Query("q", "m.f,n,up | last")))
    assert frame.names == ('q{_field="f"}', 'q{_field="n"}', 'q{_field="up"}')
    assert frame.values[3].tolist() == [3.5, 3, 0]
    assert frame.values[4].tolist() == [4.5, 4, 1]


def test_nulls_are_gaps(load: Load, influx1_server: str) -> None:
    """A field that a point lacks is missing, no matter what its other fields hold."""
    lines = [f"m {'f' if i % 2 else 'g'}={i} {(START + 60 * i) * 10**9}" for i in range(4)]
    asked = request(Query("q", "SELECT f, g FROM m WHERE time >= $start AND time < $stop"), rows=4)
    frame = only(reader(influx1_server, load(*lines)), asked)
    assert np.array_equal(frame.values[:, 0], np.array([np.nan, 1, np.nan, 3], np.float32), equal_nan=True)


def test_a_window_that_is_still_going_on_is_left_out(two_hosts: str, influx1_server: str) -> None:
    """Rows whose window is not over yet hold nothing, however much of it the server has."""
    source = reader(influx1_server, two_hosts, now=START + 5 * 60 + 59)
    frame = only(source, request(Query("q", "cpu.idle | count by ()")))
    assert frame.observed[:, 0].tolist() == [True] * 5 + [False] * 5


def test_a_tick_asks_for_new_rows_alone(two_hosts: str, influx1_server: str) -> None:
    """Of the window that a tick goes on from only the last two rows are asked for again; the answer is the same."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    query = Query("q", "SELECT idle FROM cpu WHERE $timeFilter GROUP BY host")
    with httpx.Client(base_url=influx1_server, headers=form) as upstream:
        replay = Replay(lambda asked: Reply((upstream.post(asked.path, content=asked.body).content,)))
        try:
            source = reader(replay.url, two_hosts, lookback=0)
            only(source, request(query, rows=10))
            frame = only(source, request(query, rows=11))
        finally:
            replay.close()
    starts = [re.findall(r"time >= (\d+)", parse_qs(asked.body)["q"][0]) for asked in replay.asked]
    assert starts == [[f"{START}000000000"], [f"{START + 8 * 60}000000000"]]
    assert frame.values.tolist() == only(reader(influx1_server, two_hosts), request(query, rows=11)).values.tolist()


@pytest.mark.parametrize("night", ["2024-03-31", "2024-10-27"])
def test_days_begin_at_local_midnight(load: Load, influx1_server: str, night: str) -> None:
    """With `tz` a row holds the last whole local day, of 23 and 25 hours too."""
    day = pd.Timestamp(night, tz="Europe/Berlin")
    hours = pd.date_range(day - pd.Timedelta("2D"), day + pd.Timedelta("3D"), freq="h").tz_convert("UTC")
    source = reader(influx1_server, load(*(f"m n=1 {t.as_unit('ns').value}" for t in hours)), now=hours[-1].timestamp())
    midnight = (day + pd.Timedelta("26h")).normalize()
    start, end = midnight - pd.Timedelta("30h"), midnight + pd.Timedelta("30h")
    length = int((midnight - day) / pd.Timedelta("1h"))
    for expr in (
        "m.n | count",
        "SELECT count(n) AS n FROM m WHERE $timeFilter GROUP BY time($interval) tz('Europe/Berlin')",
    ):
        query = Query("q", expr, step=pd.Timedelta("1D"), tz="Europe/Berlin")
        asked = ReadRequest((query,), start.tz_convert("UTC"), end.tz_convert("UTC"), pd.Timedelta("1h"))
        frame = only(source, asked)
        counts = pd.Series(frame.values[:, 0], frame.times.tz_convert("Europe/Berlin"))
        assert length in (23, 25)
        assert counts[midnight] == length
        assert counts[midnight + pd.Timedelta("23h")] == length
        assert counts[midnight - pd.Timedelta("1h")] == 24
        assert counts[midnight + pd.Timedelta("24h")] == 24


def test_measurements_are_distinguished(load: Load, influx1_server: str) -> None:
    """A query over several measurements has a label for them."""
    source = reader(influx1_server, load(*cpu("a"), f"gpu idle=7 {START}000000000"))
    frame = only(
        source,
        request(Query("q", "SELECT mean(idle) AS value FROM cpu, gpu WHERE $timeFilter GROUP BY time($interval)")),
    )
    assert frame.names == ('q{_measurement="cpu"}', 'q{_measurement="gpu"}')


@pytest.mark.parametrize("expr", ["cpu.idle", "cpu.idle | p90 by (host)", "cpu.idle | rate by (host)"])
def test_only_the_groups_asked_for_are_sent(influx1_server: str, two_hosts: str, expr: str) -> None:
    """The server brings the rows of the wanted group alone, and they are those of a reading of all groups."""
    upstream, sizes = httpx.Client(base_url=influx1_server), []

    def passed_on(asked: Any) -> Reply:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = upstream.post(asked.path, content=asked.body, headers=form).content
        sizes.append((b'"host":"a"' in body, b'"host":"b"' in body))
        return Reply((body,))

    replay = Replay(passed_on)
    try:
        source = reader(replay.url, two_hosts)
        asked = request(Query("q", expr), groupby=("host",))
        whole = source.read(asked).frames
        found = source.read(replace(asked, groups=frozenset({(("host", "b"),)}))).frames
    finally:
        replay.close()
        upstream.close()
    assert sizes == [(True, True), (False, True)]
    assert list(found) == [(("host", "b"),)]
    np.testing.assert_array_equal(found[("host", "b"),].values, whole[("host", "b"),].values)
    assert source.selects_groups


def test_queries_in_the_servers_language_are_asked_as_they_are(influx1_server: str, two_hosts: str) -> None:
    """They cannot be narrowed down to groups: the reader says so once it has met one, and leaves others out itself."""
    source = reader(influx1_server, two_hosts)
    text = "SELECT mean(idle) AS value FROM cpu WHERE $timeFilter GROUP BY time($interval), host"
    asked = request(Query("q", text), groupby=("host",))
    found = source.read(replace(asked, groups=frozenset({(("host", "b"),)}))).frames
    assert found[("host", "b"),].values.tolist() == source.read(asked).frames[("host", "b"),].values.tolist()
    assert not source.selects_groups
