"""A server that answers from a script, and a clock that only moves on request: nothing waits, nothing connects."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tsdiff_monitor.http.client import HttpClient, HttpFailure
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing.checks import check_reason, check_silent

__all__ = ["NOW", "URL", "Clock", "Dripping", "Handler", "Script", "client", "failed", "failure"]

Handler = Callable[[httpx.Request], httpx.Response]
URL = "https://metrics.example:9090/prometheus"
NOW = 1_714_521_600.0  # 2024-05-01T00:00:00Z


class Clock:
    """Time that passes only when somebody sleeps or says so."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Script:
    """Answers one after the other, the last for ever; keeps the requests."""

    def __init__(self, *answers: int | httpx.Response | Exception | Handler) -> None:
        self._answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx.Response(answer)
        return answer if isinstance(answer, httpx.Response) else answer(request)


def client(script: Handler, clock: Clock | None = None, url: str = URL, **options: Any) -> HttpClient:
    """A client of which the network is ``script``."""
    clock = clock or Clock()
    context = Context("prod", lambda: NOW, httpx.MockTransport(script), random.Random(7))
    return HttpClient(url, HttpOptions.model_validate(options), context, sleep=clock.sleep, monotonic=clock)


def failure(script: Handler, clock: Clock | None = None, url: str = URL, **options: Any) -> HttpFailure:
    """The failure of a GET."""
    with pytest.raises(HttpFailure) as caught:
        client(script, clock, url, **options).send("GET", "/api/v1/query", what="query 'cpu'")
    check_reason(caught.value.reason)
    return caught.value


class Dripping(httpx.SyncByteStream):
    """A body of which a chunk comes each second."""

    def __init__(self, clock: Clock, chunks: int) -> None:
        self._clock = clock
        self._chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._chunks):
            self._clock.sleep(1.0)
            yield b"x"

    def close(self) -> None:
        self.closed = True


def failed(client: HttpClient, path: str = "/-/ready") -> HttpFailure:
    """The failure of a GET of a client on the real network; it shows no password that the tests use."""
    with pytest.raises(HttpFailure) as caught:
        client.send("GET", path)
    check_reason(caught.value.reason)
    check_silent(("correct-horse", "wrong-horse"), caught.value, client)
    return caught.value
