"""The Prometheus reader asks for what is needed, and makes of the answers what they say."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.connectors.prometheus.prometheus_stub import HOUR, MINUTE, Stub, column, reader, request
from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context, Query, Reading, ReadRequest
from tsdiff_monitor.testing import ReaderConformance

A, B = {"instance": "a"}, {"instance": "b"}


def minutes(at: float) -> float:
    """Minutes after three o'clock: what most series here hold."""
    return (at - HOUR.timestamp()) / 60


def refusal(of: PrometheusReader, *queries: str, **config: Any) -> SourceError:
    """The error that reading these queries gives."""
    with pytest.raises(SourceError) as caught:
        of.read(request(0, 5, *queries, **config))
    return caught.value


class TestStub(ReaderConformance):
    """The promises of every reader."""

    secrets = ("tok-3f9a",)

    def make(self) -> PrometheusReader:
        stub = Stub({"cpu": [(A, minutes), (B, lambda at: None if at % 180 else at)], "mem": [(A, lambda at: 1.5)]})
        return reader(stub, authorization={"credentials": "tok-3f9a"}, max_points_per_query=7)

    def request(self) -> ReadRequest:
        return request(0, 20, "cpu", "mem")

    def broken(self) -> PrometheusReader:
        return reader(
            lambda call: httpx.Response(503, text=f"no: {call.headers['Authorization']}"),
            authorization={"credentials": "tok-3f9a"},
            retries=0,
        )


def test_a_form_of_whole_seconds_is_posted() -> None:
    """Query, range, both ends included, step, and the parameters that the user adds."""
    stub = Stub({})
    reader(stub, query_timeout="1m30s", extra_params={"dedup": "true"}, http_headers={"X-Scope-OrgID": "team"}).read(
        request(0, 5, "up == 1")
    )
    first = int(HOUR.timestamp())
    assert stub.forms == [
        {
            "query": "up == 1",
            "start": str(first),
            "end": str(first + 240),
            "step": "60",
            "timeout": "1m30s",
            "dedup": "true",
        }
    ]
    assert stub.headers[0]["X-Scope-OrgID"] == "team"
    assert stub.headers[0]["Accept-Encoding"] == "identity"


def test_compression_is_a_choice() -> None:
    """Slow networks may ask for compressed answers."""
    stub = Stub({})
    reader(stub, enable_compression=True).read(request(0, 5, "up"))
    assert stub.headers[0]["Accept-Encoding"] == "gzip"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 25), st.integers(0, 59), st.sampled_from([1, 2, 5]), st.integers(0, 90))
def test_parts_join_to_the_whole(rows: int, most: int, seconds: int, coarser: int, offset: int) -> None:
    """With any limit of points, each row holds the value due to it; series may come, go and return at the seams."""
    came = {True: lambda at: at, False: lambda at: at if int(at) // 240 % 2 else None}
    stub = Stub({"q": [(A, came[True]), (B, came[False])]})
    query = Query("q", "q", coarser * MINUTE, pd.Timedelta(offset, "s"), max_points_per_query=most)
    start = HOUR + pd.Timedelta(seconds, "s")
    reading = reader(stub).read(ReadRequest((query,), start, start + rows * MINUTE, MINUTE, ("instance",)))
    for group, frame in reading.frames.items():
        source = came[group == (("instance", "a"),)]
        times = frame.times.asi8 // 10**9 // (60 * coarser) * (60 * coarser) - offset
        due = [np.nan if (value := source(float(at))) is None else value for at in times]
        np.testing.assert_array_equal(frame.values[:, 0], np.array(due, np.float32))
        assert len(frame) == rows


def test_points_off_the_step_must_not_be_cached() -> None:
    """VictoriaMetrics would move them; a user's own parameter takes precedence."""
    stub = Stub({"q": [(A, minutes)]})
    shifted = Query("q", "q", offset=pd.Timedelta("30s"))
    reading = reader(stub).read(request(0, 3, shifted))
    assert stub.forms[0]["nocache"] == "1"
    assert column(reading, "q") == [-0.5, 0.5, 1.5]


def test_a_tick_asks_for_new_rows_alone() -> None:
    """The second reading asks from the rows that are read again, and holds the same as a reading of all."""
    stub = Stub({"q": [(A, minutes)], "p": [(A, minutes)]})
    of = reader(stub, reread=2)
    of.read(request(0, 20, "q", "p"))
    stub.forms.clear()
    again = of.read(request(1, 21, "q", "p"))
    assert stub.spans() == [(18, 20), (18, 20)]
    assert column(again, "q") == list(range(1, 21))


def test_the_cache_can_be_turned_off() -> None:
    """``cached_cells: 0`` keeps nothing."""
    stub = Stub({"q": [(A, minutes)]})
    of = reader(stub, cached_cells=0)
    of.read(request(0, 20, "q"))
    of.read(request(1, 21, "q"))
    assert stub.spans() == [(0, 19), (1, 20)]


def test_series_that_are_not_there_are_absent() -> None:
    """No series, or none but NaN and infinities: no group, no error, no warning."""
    stub = Stub({"nan": [(A, lambda _: "NaN"), (B, lambda _: "+Inf")]})
    reading = reader(stub).read(request(0, 5, "unknown_metric", "nan"))
    assert (reading.frames, reading.warnings, reading.partial) == ({}, (), False)


@pytest.mark.parametrize(
    "warning",
    [
        "No StoreAPIs matched for this query",
        "fetch series for {replica=1} thanos-store:10901: rpc error: code = Unavailable desc = refused",
        "remote_read: remote server returned HTTP status 500",
    ],
)
def test_a_store_that_does_not_answer_makes_it_partial(warning: str) -> None:
    """A warning about anything but the query means that something was left out; it is reported, and not kept."""
    stub = Stub({"q": [(A, minutes)]}, warnings=[warning])
    of = reader(stub)
    reading = of.read(request(0, 5, "q"))
    assert reading.partial
    assert reading.warnings == (f"query q: {warning}",)
    stub.more = {}
    assert not of.read(request(1, 6, "q")).partial
    assert stub.spans() == [(0, 4), (1, 5)]


def test_the_flag_of_a_partial_answer_counts() -> None:
    """VictoriaMetrics says it in a field."""
    reading = reader(Stub({"q": [(A, minutes)]}, isPartial=True)).read(request(0, 5, "q"))
    assert reading.partial
    assert "isPartial" in reading.warnings[0]


def test_warnings_about_the_query_are_not_partial() -> None:
    """They are reported, but values are there; infos are reported, and do not keep the answer from being kept."""
    stub = Stub({"q": [(A, minutes)]}, warnings=["PromQL warning: uneven buckets"], infos=["PromQL info: no counter"])
    of = reader(stub, reread=2)
    reading = of.read(request(0, 5, "q"))
    assert reading.warnings == ("query q: PromQL warning: uneven buckets", "query q: PromQL info: no counter")
    assert not reading.partial
    stub.more = {"infos": ["PromQL info: no counter"]}
    stub.forms.clear()
    for tick in (1, 2):
        assert of.read(request(tick, tick + 5, "q")).warnings == ("query q: PromQL info: no counter",)
    assert stub.spans() == [(1, 5), (4, 6)]


def test_users_may_know_a_warning_to_be_harmless() -> None:
    """It is still reported, but the answer counts, and is kept."""
    stub = Stub({"q": [(A, minutes)]}, warnings=["results came from the long-term store"])
    of = reader(stub, harmless_warnings=["long-term store"], reread=2)
    reading = of.read(request(0, 5, "q"))
    assert not reading.partial
    assert len(reading.warnings) == 1
    of.read(request(1, 6, "q"))
    assert stub.spans() == [(0, 4), (3, 5)]


def test_too_many_series_are_an_error() -> None:
    """With the query's name and what to do; the queries together count."""
    stub = Stub({"disk": [({"instance": str(k)}, minutes) for k in range(6)], "cpu": [(A, minutes)]})
    error = refusal(reader(stub, max_series=6), "disk", "cpu")
    assert error.reason == "too_many_series"
    assert "'disk' alone brings 6" in str(error)
    assert len(reader(stub, max_series=7).read(request(0, 5, "disk", "cpu")).frames) == 7


def test_twins_are_an_error_in_one_part_and_in_several() -> None:
    """Series that nothing distinguishes after grouping, also where a server repeats the very same labels."""
    for most in (100, 2):
        apart = Stub({"q": [({"instance": "a", "__name__": name}, minutes) for name in ("x", "y")]})
        assert refusal(reader(apart, max_points_per_query=most), "q").reason == "duplicate"
        same = Stub({"q": [(A, minutes), (A, minutes)]})
        assert refusal(reader(same, max_points_per_query=most), "q").reason == "duplicate"


def test_a_server_that_moves_the_points_is_noticed() -> None:
    """Its answer would be put on the wrong rows."""
    stub = Stub({"q": [(A, minutes)]})

    def moved(call: httpx.Request) -> httpx.Response:
        answer = stub(call).json()
        for one in answer["data"]["result"]:
            one["values"] = [[at + 30, value] for at, value in one["values"]]
        return httpx.Response(200, json=answer)

    error = refusal(reader(moved), "q")
    assert error.reason == "misaligned"
    assert "reader 'prom'" in str(error)
    assert "'q'" in str(error)


def test_requests_under_way_are_bounded() -> None:
    """No more than ``concurrency`` at once, also when several monitors read at the same time."""
    lock, under_way, most, full = threading.Lock(), 0, 0, threading.Event()

    def handler(call: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == 3:
                full.set()
        assert full.wait(10)
        with lock:
            under_way -= 1
        return Stub({})(call)

    of = reader(handler, concurrency=3)
    names = [f"q{k}" for k in range(12)]
    threads = [threading.Thread(target=of.read, args=(request(0, 5, *names),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_tick_does_not_wait_behind_a_fit() -> None:
    """A fit whose forty requests the server holds back keeps a tick's six from nothing."""
    asked, released = threading.Event(), threading.Event()

    def handler(call: httpx.Request) -> httpx.Response:
        if b"slow" in call.content:
            asked.set()
            assert released.wait(10)
        return Stub({"slow": [(A, minutes)], **{f"q{k}": [(A, minutes)] for k in range(6)}})(call)

    of = reader(handler, concurrency=1, max_points_per_query=75)
    fits: list[Reading] = []
    fit = threading.Thread(target=lambda: fits.append(of.read(request(0, 3000, "slow"))))
    fit.start()
    assert asked.wait(10)
    try:
        tick = of.read(request(0, 5, *(f"q{k}" for k in range(6))))
        assert not fits
    finally:
        released.set()
        fit.join()
    assert column(tick, "q5") == [0, 1, 2, 3, 4]
    assert column(fits[0], "slow") == list(range(3000))


def test_the_first_failure_ends_the_rest() -> None:
    """Requests not sent yet are not sent any more; the error names the query that failed."""
    stub = Stub({})
    stub.refusals = [httpx.Response(400, json={"status": "error", "errorType": "bad_data", "error": "parse error"})]
    error = refusal(reader(stub, concurrency=1), *(f"q{k}" for k in range(50)))
    assert "reader 'prom': the query 'q0' was refused: bad_data: parse error" in str(error)
    assert len(stub.forms) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"extra_params": {"step": "5"}}, "set by the reader"),
        ({"extra_params": {"timeout": "5s"}}, "query_timeout"),
        ({"max_points_per_query": 11_001}, "11000"),
        ({"query_timeout": "0"}, "positive"),
        ({"harmless_warnings": ["("]}, "regular expression"),
        ({"url": "prometheus:9090"}, "http"),
        ({"concurrency": 0}, "greater"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(config: dict[str, Any], words: str) -> None:
    """Before anything is asked, in words about the key."""
    with pytest.raises(ValidationError, match=words):
        PrometheusReader.Config.model_validate({"url": "http://localhost:9090", **config})


def test_closing_twice_is_safe() -> None:
    """The first time ends the reader's threads and its connections; the second finds nothing left to end."""
    closed: list[httpx.MockTransport] = []

    class Connections(httpx.MockTransport):
        def close(self) -> None:
            closed.append(self)

    before = set(threading.enumerate())
    config = PrometheusReader.Config.model_validate({"url": "http://metrics.example/prom"})
    of = PrometheusReader(config, Context("prom", transport=Connections(Stub({}))))
    of.read(request(0, 5, "q"))
    threads = set(threading.enumerate()) - before
    assert threads and not closed
    for _ in range(2):
        of.close()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert len(closed) == 1


def test_every_key_is_documented() -> None:
    """The reader's own keys in its page, those of every connection in theirs."""
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "prometheus.md").read_text(encoding="utf-8")
    for key in PrometheusReader.Config.model_fields:
        where = (docs / "http.md").read_text(encoding="utf-8") if key in HttpOptions.model_fields else page
        assert f"| `{key}` |" in where, f"{key} is not documented"


def test_the_examples_are_good() -> None:
    """Every reader that the page shows is one."""
    page = (Path(__file__).parents[3] / "docs" / "prometheus.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(block)["readers"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(shown) == 4
    for config in (config for readers in shown for config in readers.values()):
        assert config.pop("type") == "prometheus"
        PrometheusReader.Config.model_validate(config)
