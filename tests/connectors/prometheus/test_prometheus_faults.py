"""A server that fails, in any way, is an error with a reason and never a verdict: nothing is lost or made up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.connectors.conftest import PrometheusServer
from tests.connectors.prometheus.prometheus_stub import HOUR, Stub, column, reader, request
from tests.servers.faults import FaultProxy
from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context

ANSWER = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


@pytest.fixture
def proxy(prometheus_server: PrometheusServer, fault_proxy: Callable[[str], FaultProxy]) -> FaultProxy:
    """In front of a Prometheus that holds a minute's number at each minute."""
    first = int(HOUR.timestamp())
    lines = "".join(f'prf_load{{instance="a"}} {k} {first + 60 * k}\n' for k in range(120))
    return fault_proxy(prometheus_server(history=f"{lines}# EOF\n"))


@pytest.fixture
def make(proxy: FaultProxy) -> Iterator[Callable[..., PrometheusReader]]:
    """Readers through the proxy, of which no retry takes time."""
    made = []

    def build(**config: Any) -> PrometheusReader:
        config = {"url": proxy.url, "read_timeout": "300ms", "timeout": "1s", "retries": 1, **config}
        one = PrometheusReader(PrometheusReader.Config.model_validate(config), Context("prom"), sleep=lambda _: None)
        made.append(one)
        return one

    yield build
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"reset": True}, "connect"),
        ({"cut_after": 200}, "connect"),
        ({"reset_after": 200}, "connect"),
        ({"silent": True}, "timeout"),
        ({"drip": 0.02}, "timeout"),
        ({"status": 429}, "rate_limited"),
        ({"status": 500, "body": b"out of memory"}, "server_error"),
        ({"status": 302, "headers": {"Location": "https://sso.example/"}}, "redirect"),
        ({"status": 404, "body": b"404 page not found"}, "client_error"),
        ({"status": 200, "body": b"<html>Sign in</html>"}, "garbled"),
        ({"status": 200, "body": ANSWER[:-9]}, "garbled"),
        ({"status": 200, "body": b"\x00\xff\xfe"}, "garbled"),
        ({"raw": b"\x16\x03\x01 what is this"}, "garbled"),
        ({"status": 200, "headers": {"Content-Length": "10000000000"}}, "too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_every_fault_is_reported(
    proxy: FaultProxy, make: Callable[..., PrometheusReader], fault: dict[str, Any], reason: str
) -> None:
    """Which reader, which query and what failed, within the deadline; healed, it answers everything again."""
    of = make()
    proxy.fault(**fault)
    began = time.monotonic()
    with pytest.raises(SourceError, match="reader 'prom': the query 'prf_load'") as caught:
        of.read(request(0, 20, "prf_load"))
    assert caught.value.reason == reason
    assert time.monotonic() - began < 5
    proxy.heal()
    assert column(of.read(request(0, 20, "prf_load")), "prf_load") == list(range(20))


@pytest.mark.parametrize("fault", [{"reset": True}, {"cut_after": 200}, {"status": 429}, {"status": 503}], ids=str)
def test_a_passing_fault_is_outlasted(
    proxy: FaultProxy, make: Callable[..., PrometheusReader], fault: dict[str, Any]
) -> None:
    """One retry, and the reading is whole: no row is lost or doubled, however many parts it has."""
    of = make(max_points_per_query=7, concurrency=1)
    proxy.fault(times=1, **fault)
    assert column(of.read(request(0, 50, "prf_load")), "prf_load") == list(range(50))
    assert len(proxy.requests) == 1 + 8


def test_a_part_that_fails_spoils_the_reading(proxy: FaultProxy, make: Callable[..., PrometheusReader]) -> None:
    """Rather no rows than rows with a hole; what was known before is still known, and goes on."""
    of = make(max_points_per_query=7, concurrency=1, retries=0, reread=2)
    of.read(request(0, 30, "prf_load"))
    proxy.requests.clear()
    proxy.fault(times=1, status=500)
    with pytest.raises(SourceError):
        of.read(request(10, 50, "prf_load"))
    proxy.requests.clear()
    assert column(of.read(request(12, 52, "prf_load")), "prf_load") == list(range(12, 52))
    assert len(proxy.requests) == 4


def test_the_deadline_is_hard(proxy: FaultProxy, make: Callable[..., PrometheusReader]) -> None:
    """An answer that drips without end is given up when the whole time is over, however lively it is."""
    proxy.fault(drip=0.05, drip_size=1)
    began = time.monotonic()
    with pytest.raises(SourceError, match="`timeout`") as caught:
        make(timeout="500ms").read(request(0, 20, "prf_load"))
    assert caught.value.reason == "timeout"
    assert 0.4 < time.monotonic() - began < 3


def test_an_oversized_answer_is_cut_off(make: Callable[..., PrometheusReader]) -> None:
    """Real data beyond the limit: an error that says which key allows more."""
    with pytest.raises(SourceError, match="`max_response_bytes`") as caught:
        make(max_response_bytes=500).read(request(0, 100, "prf_load"))
    assert (caught.value.reason, caught.value.recoverable) == ("too_large", False)


def test_retry_after_is_honoured() -> None:
    """The server says how long to wait, and is asked again no sooner."""
    stub = Stub({"q": [({"instance": "a"}, lambda at: 1.0)]})
    stub.refusals = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(503)]
    slept: list[float] = []
    config = PrometheusReader.Config.model_validate({"url": "http://metrics.example/prom"})
    of = PrometheusReader(config, Context("prom", transport=httpx.MockTransport(stub)), sleep=slept.append)
    assert column(of.read(request(0, 5, "q")), "q") == [1.0] * 5
    assert slept[0] >= 7
    assert len(slept) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusals_are_final(status: int) -> None:
    """Another try would only be refused again."""
    stub = Stub({})
    stub.refusals = [httpx.Response(status, json={"status": "error", "errorType": 422, "error": "no"})] * 9
    with pytest.raises(SourceError) as caught:
        reader(stub).read(request(0, 5, "q"))
    assert not caught.value.recoverable
    assert len(stub.forms) == 1


def test_a_query_that_takes_the_server_too_long_is_a_timeout() -> None:
    """Prometheus says 503 and why; the reason is the one of all time-outs."""
    said = {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}
    with pytest.raises(SourceError, match="query timed out in expression evaluation") as caught:
        reader(lambda _: httpx.Response(503, json=said), retries=0).read(request(0, 5, "q"))
    assert (caught.value.reason, caught.value.recoverable) == ("timeout", True)
