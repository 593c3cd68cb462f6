"""A real InfluxDB 1 with data of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.connectors.influxdb.influx_replay import closing_readers, influx_reader
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame

__all__ = [
    "HOUR",
    "MINUTE",
    "START",
    "Load",
    "ask",
    "closing_readers",
    "cpu",
    "load",
    "only",
    "reader",
    "request",
    "two_hosts",
]

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")
START = HOUR.value // 10**9

Load = Callable[..., str]


def reader(url: str, database: str, **config: Any) -> InfluxReader:
    """A reader of one database; the clock stands long after the data, unless one is given."""
    return influx_reader(1, url, database=database, **config)


def request(*queries: Query, rows: int = 10, groupby: tuple[str, ...] = (), start: pd.Timestamp = HOUR) -> ReadRequest:
    """The first rows of the hour in which these tests' data begin."""
    return ReadRequest(queries, start, start + rows * MINUTE, MINUTE, groupby)


def only(reader: InfluxReader, asked: ReadRequest) -> Frame:
    """The one frame of a reading without warnings."""
    reading = reader.read(asked)
    assert not reading.warnings
    (frame,) = reading.frames.values()
    return frame


@pytest.fixture
def load(influx1_server: str) -> Iterator[Load]:
    """Writes lines of line protocol into a new database and gives its name."""
    made: list[str] = []

    def write(*lines: str) -> str:
        made.append(f"test_{uuid.uuid4().hex}")
        ask(influx1_server, f'CREATE DATABASE "{made[-1]}"')
        answer = httpx.post(f"{influx1_server}/write", params={"db": made[-1]}, content="\n".join(lines))
        assert answer.status_code == 204, answer.text
        return made[-1]

    yield write
    for name in made:
        ask(influx1_server, f'DROP DATABASE "{name}"')


def ask(url: str, text: str, **more: Any) -> None:
    """Run a statement."""
    answer = httpx.post(f"{url}/query", data={"q": text}, **more)
    assert answer.status_code == 200 and "error" not in answer.text, answer.text


def cpu(hosts: str = "ab", minutes: int = 20) -> list[str]:
    """Two samples a minute of each host: the value in the minute m of host a is 2m and 2m + 1, and of b 100 more."""
    return [
        f"cpu,host={host},cpu=cpu0 idle={100 * k + i} {(START + 30 * i) * 10**9}"
        for k, host in enumerate(hosts)
        for i in range(2 * minutes)
    ]


@pytest.fixture(scope="module")
def two_hosts(influx1_server: str) -> str:
    """The database that most tests read: the hosts a and b for an hour."""
    ask(influx1_server, "CREATE DATABASE two_hosts")
    lines = "\n".join(cpu(minutes=60))
    assert httpx.post(f"{influx1_server}/write", params={"db": "two_hosts"}, content=lines).status_code == 204
    return "two_hosts"
