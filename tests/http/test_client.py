"""The client against scripted answers: retries, deadline, limits, credentials. Nothing here waits or connects."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest

from tests.servers.scripted import URL, Clock, Dripping, Script, client, failure
from tsdiff_monitor.http.client import HttpFailure


def test_request_goes_out_as_asked() -> None:
    """Form, parameters and lists, headers, tenant and our name arrive; None leaves a parameter out."""
    script = Script(200)
    sender = client(script, http_headers={"X-Scope-OrgID": "tenant-1"}, enable_compression=False)
    sender.send(
        "POST",
        "/api/v1/query_range",
        params={"dedup": "true", "none": None},
        data={"query": "a + b", "match[]": ["x", "y"], "timeout": None},
        headers={"Accept": "application/json"},
    )
    (request,) = script.requests
    assert str(request.url) == f"{URL}/api/v1/query_range?dedup=true"
    assert request.content == b"query=a+%2B+b&match%5B%5D=x&match%5B%5D=y"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["X-Scope-OrgID"] == "tenant-1"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("tsdiff-monitor/")
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers


def test_answer_comes_back_whole() -> None:
    """Status, headers in any case, and the decompressed body."""
    body = httpx.Response(206, content=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip", "X-A": "b"})
    script = Script(body)
    answer = client(script, enable_compression=True).send("GET", "/")
    assert script.requests[0].headers["Accept-Encoding"] == "gzip"
    assert (answer.status, answer.headers["x-a"], answer.content) == (206, "b", b"hello")


def test_statuses_that_the_caller_accepts_are_answers() -> None:
    """With ``accept`` a refusal with a meaning is no failure, and is not tried again."""
    script = Script(httpx.Response(503, text="later"))
    assert client(script).send("GET", "/", accept=lambda status: status == 503).content == b"later"
    assert len(script.requests) == 1


class TestRetries:
    """Requests that are sent again, how often, and after which pauses."""

    @pytest.mark.parametrize(
        "first",
        [
            429,
            500,
            502,
            503,
            504,
            httpx.ConnectError("refused"),
            httpx.ConnectTimeout("slow"),
            httpx.ReadError("reset"),
            httpx.WriteError("broken pipe"),
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            httpx.RemoteProtocolError("peer closed connection without sending complete message body (incomplete)"),
        ],
        ids=str,
    )
    def test_what_may_pass_is_tried_again(self, first: int | Exception) -> None:
        """Overload, failures of the server and lost connections: the next try counts."""
        script, clock = Script(first, 200), Clock()
        assert client(script, clock).send("GET", "/").status == 200
        assert len(script.requests) == 2
        assert len(clock.slept) == 1

    @pytest.mark.parametrize(
        "first",
        [400, 401, 403, 404, 408, 413, 422, 302, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("illegal line")],
        ids=str,
    )
    def test_what_stays_is_not(self, first: int | Exception) -> None:
        """Refusals are final, and a server that is still computing is not asked to do it twice."""
        script, clock = Script(first, 200), Clock()
        failure(script, clock)
        assert len(script.requests) == 1
        assert clock.slept == []

    def test_pauses_grow_and_vary(self) -> None:
        """Between half and the whole of 0.5, 1, 2, 4, 8, 10, 10 s, not the same twice; then the failure is reported."""
        clock, script = Clock(), Script(503)
        assert failure(script, clock, retries=7).reason == "server_error"
        assert len(script.requests) == 8
        bounds = [0.5, 1, 2, 4, 8, 10, 10]
        assert all(bound / 2 <= slept <= bound for slept, bound in zip(clock.slept, bounds, strict=True))
        assert len({slept / bound for slept, bound in zip(clock.slept, bounds, strict=True)}) == len(bounds)

    def test_retries_can_be_off(self) -> None:
        """``retries: 0``, and ``retry=False`` for one call, send once."""
        script = Script(503)
        failure(script, retries=0)
        with pytest.raises(HttpFailure):
            client(script).send("POST", "/", retry=False)
        assert len(script.requests) == 2

    @pytest.mark.parametrize("asked", ["7", "Wed, 01 May 2024 00:00:07 GMT", "Wed, 01 May 2024 00:00:07 -0000"])
    def test_retry_after_is_honoured(self, asked: str) -> None:
        """The pause is as long as the server asks, in seconds or until a date."""
        clock = Clock()
        refused = httpx.Response(429, headers={"Retry-After": asked})
        assert client(Script(refused, 200), clock).send("GET", "/").status == 200
        assert clock.slept == [7.0]

    def test_retry_after_in_the_past_or_nonsense_is_as_none(self) -> None:
        """The usual pause is kept."""
        for asked in ("0", "Tue, 30 Apr 2024 00:00:00 GMT", "soon", "-5"):
            clock = Clock()
            client(Script(httpx.Response(503, headers={"Retry-After": asked}), 200), clock).send("GET", "/")
            assert 0.25 <= clock.slept[0] <= 0.5

    def test_pause_beyond_the_deadline_is_not_begun(self) -> None:
        """A caller asked to wait longer than there is time learns at once that it failed, and how long to wait."""
        clock = Clock()
        refused = failure(Script(httpx.Response(429, headers={"Retry-After": "300"})), clock)
        assert (refused.reason, refused.retry_after, clock.slept) == ("rate_limited", 300.0, [])


class TestDeadline:
    """``timeout`` bounds the whole exchange, no matter what the single waits allow."""

    def test_slow_drip_is_cut(self) -> None:
        """A body that comes a byte a second ends at the deadline, and its connection is closed."""
        clock = Clock()
        body = Dripping(clock, 10_000)
        late = failure(lambda _: httpx.Response(200, stream=body), clock, timeout="30s")
        assert (late.reason, late.recoverable) == ("timeout", True)
        assert late.message == (
            "query 'cpu': https://metrics.example:9090/api/v1/query: no whole answer within 30s; "
            "ask for less at once, or raise `timeout`"
        )
        assert clock.time == pytest.approx(130.0)
        assert body.closed

    def test_tries_share_one_deadline(self) -> None:
        """However many retries are allowed, none begins after the deadline."""
        clock = Clock()

        def slow(_: httpx.Request) -> httpx.Response:
            clock.time += 4
            return httpx.Response(503)

        assert failure(slow, clock, timeout="10s", retries=20).reason == "server_error"
        assert clock.time <= 114

    def test_waits_are_cut_to_what_is_left(self) -> None:
        """Each wait given to the network is the smaller of its own limit and what is left."""
        clock, given = Clock(), list[dict[str, float]]()

        def slow(request: httpx.Request) -> httpx.Response:
            given.append(request.extensions["timeout"])
            clock.time += 20
            return httpx.Response(503)

        failure(slow, clock, timeout="30s", connect_timeout="5s", read_timeout="25s", retries=1)
        assert given[0] == {"connect": 5, "read": 25, "write": 25, "pool": 5}
        assert given[1]["read"] == pytest.approx(10, abs=0.5)

    def test_deadline_holds_for_streams(self) -> None:
        """Pieces that come in time are given; at the deadline the stream fails."""
        clock, got = Clock(), list[bytes]()
        source = client(lambda _: httpx.Response(200, stream=Dripping(clock, 100)), clock, timeout="5s")
        with pytest.raises(HttpFailure) as caught, source.stream("GET", "/") as pieces:
            got.extend(pieces)
        assert caught.value.reason == "timeout"


class TestSize:
    """``max_response_bytes`` bounds what comes, decompressed, before it fills the memory."""

    def test_announced_length_is_refused_at_once(self) -> None:
        """Of a body that says it is too long nothing is read."""
        body = Dripping(Clock(), 10)
        answer = httpx.Response(200, headers={"Content-Length": "1001"}, stream=body)
        large = failure(lambda _: answer, max_response_bytes=1000)
        assert (large.reason, large.recoverable, body._clock.slept) == ("too_large", False, [])
        assert "larger than 1,000 bytes" in large.message

    def test_endless_body_is_cut(self) -> None:
        """A body that does not say its length is read to the limit, no further."""
        clock = Clock()
        assert failure(lambda _: httpx.Response(200, stream=Dripping(clock, 10**6)), max_response_bytes=50).reason == (
            "too_large"
        )
        assert len(clock.slept) == 51

    def test_exactly_the_limit_is_good(self) -> None:
        """The limit itself may be reached."""
        assert client(Script(httpx.Response(200, content=b"x" * 50)), max_response_bytes=50).send("GET", "/").content

    def test_gzip_bomb_is_cut(self) -> None:
        """A megabyte that inflates to a gigabyte stops at the limit."""
        bomb = gzip.compress(bytes(2**28), 1)
        answer = httpx.Response(200, stream=httpx.ByteStream(bomb), headers={"Content-Encoding": "gzip"})
        source = client(lambda _: answer, max_response_bytes=5 * 2**20)
        total = 0
        with pytest.raises(HttpFailure, match="larger than") as caught, source.stream("GET", "/") as pieces:
            for piece in pieces:
                assert len(piece) <= 2**20
                total += len(piece)
        assert (caught.value.reason, total) == ("too_large", 5 * 2**20)

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [(gzip.compress(b"hello" * 99)[:-9], "gzip"), (b"plain", "gzip"), (b"plain", "br")],
        ids=["ends too early", "no gzip", "not asked for"],
    )
    def test_damaged_compression_is_garbled(self, body: bytes, encoding: str) -> None:
        """Half an answer is never taken for a whole one."""
        answer = httpx.Response(200, stream=httpx.ByteStream(body), headers={"Content-Encoding": encoding})
        broken = failure(lambda _: answer)
        assert (broken.reason, broken.recoverable) == ("garbled", True)

    def test_compressed_parts_follow_each_other(self) -> None:
        """A body of several compressed members is read to its end, however the chunks fall."""
        body = gzip.compress(b"one") + gzip.compress(bytes(2**21)) + gzip.compress(b"three")

        class Bytewise(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                return (body[k : k + 1] for k in range(len(body)))

        answer = httpx.Response(200, stream=Bytewise(), headers={"Content-Encoding": "gzip"})
        assert client(lambda _: answer).send("GET", "/").content == b"one" + bytes(2**21) + b"three"
