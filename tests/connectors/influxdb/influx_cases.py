"""The common part of tests against a server that replays answers of InfluxDB, of any version."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from tests.connectors.influxdb.influx_replay import Asked, Replay, Reply
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.testing import ReaderConformance

__all__ = ["START", "TOKEN", "Serve", "ShortForm", "request", "serve"]

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
START = HOUR.value // 10**9
MINUTE = pd.Timedelta("1min")
TOKEN = "tok-en-1"

Serve = Callable[..., Replay]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers with a text, a reply, or what a function says."""
    started: list[Replay] = []

    def start(answer: str | Reply | Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> Replay:
        def fixed(asked: Asked) -> Reply:
            return answer if isinstance(answer, Reply) else Reply.text(str(answer))

        started.append(Replay(answer if callable(answer) else fixed, tls))
        return started[-1]

    yield start
    for replay in started:
        replay.close()


def request(*queries: Query, rows: int = 10, groupby: tuple[str, ...] = ()) -> ReadRequest:
    """The first rows of the hour in which the data begin."""
    return ReadRequest(queries, HOUR, HOUR + rows * MINUTE, MINUTE, groupby)


class ShortForm(ReaderConformance):
    """The promises of every reader, kept for queries in the short form. Derive, and give the first two methods."""

    secrets = (TOKEN,)

    def reader(self, url: str) -> InfluxReader:
        """A new reader of the server at ``url``, with :data:`TOKEN`."""
        raise NotImplementedError

    def answer(self, asked: Asked) -> Reply:
        """The server's output."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _server(self, serve: Serve) -> None:
        self.url = serve(self.answer).url

    def make(self) -> InfluxReader:
        return self.reader(self.url)

    def request(self) -> ReadRequest:
        return request(Query("idle", "cpu.idle"), Query("n", "cpu.idle | count"), groupby=("host",))

    def broken(self) -> InfluxReader:
        return self.reader("http://127.0.0.1:9")
