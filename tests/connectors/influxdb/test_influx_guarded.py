"""InfluxDB 1 behind credentials, and with answers that it cuts off; both for real, in InfluxDB 1.6."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.connectors.influxdb.influx_replay import Replay, Reply, closing_readers, influx_reader
from tests.servers.stores import start_influx1
from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest

__all__ = ["closing_readers"]  # a fixture of every test here

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
START = HOUR.value // 10**9
LOGIN = ("robot", "pass-word-1")
ROWS = "SELECT idle AS value FROM cpu WHERE $timeFilter GROUP BY host"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that wants credentials, and cuts answers off after 15 rows where they do not come in chunks."""
    server = start_influx1(tmp_path_factory.mktemp("influx1"), http={"auth-enabled": True, "max-row-limit": 15})
    lines = "\n".join(f"cpu,host=a idle={i} {(START + 60 * i) * 10**9}" for i in range(20))
    for text, auth in (
        ("CREATE USER robot WITH PASSWORD 'pass-word-1' WITH ALL PRIVILEGES", None),
        ("CREATE DATABASE metrics", LOGIN),
    ):
        answer = httpx.post(f"{server.url}/query", data={"q": text}, auth=auth)
        assert "error" not in answer.text
    assert httpx.post(f"{server.url}/write", params={"db": "metrics"}, content=lines, auth=LOGIN).status_code == 204
    yield server.url
    server.stop()


def request(expr: str, rows: int = 20, **options: Any) -> ReadRequest:
    """The first minutes of the data."""
    step = pd.Timedelta("1min")
    return ReadRequest((Query("q", expr, **options),), HOUR, HOUR + rows * step, step)


def reader(url: str, **config: Any) -> InfluxReader:
    """A reader of the one database."""
    return influx_reader(1, url, database="metrics", **config)


@pytest.mark.parametrize(
    "login", [{"basic_auth": {"username": "robot", "password": "other-word-2"}}, {"token": "robot:other-word-2"}, {}]
)
def test_wrong_credentials_are_reported_without_them(guarded: str, login: dict[str, Any]) -> None:
    """The error says what to check and shows no secret; a retry would not help."""
    source = reader(guarded, **login)
    with pytest.raises(SourceError) as caught:
        source.read(request("cpu.idle"))
    assert (caught.value.reason, caught.value.recoverable) == ("auth", False)
    assert "other-word-2" not in f"{caught.value}{caught.value.__cause__!r}{source!r}"


def test_credentials_in_the_address_stay_there(guarded: str) -> None:
    """They open the server, and no message or repr shows them."""
    source = reader(guarded.replace("//", "//robot:pass-word-1@"))
    assert source.read(request("cpu.idle")).frames
    with pytest.raises(SourceError) as caught:
        source.read(request("SELECT x FORM y WHERE $timeFilter"))
    assert "pass-word-1" not in f"{caught.value}{caught.value.__cause__!r}{source!r}"


def test_a_password_file_opens_it(guarded: str, tmp_path: Path) -> None:
    """Credentials by file are read at each request: the file may come later."""
    file = tmp_path / "password"
    source = reader(guarded, basic_auth={"username": "robot", "password_file": str(file)})
    with pytest.raises(SourceError) as caught:
        source.read(request("cpu.idle"))
    assert caught.value.reason == "config"
    file.write_text("pass-word-1\n")
    assert source.read(request("cpu.idle")).frames


def test_answers_in_chunks_are_whole(guarded: str) -> None:
    """The server's limit on rows does not hold for answers in chunks: all rows come, and nothing is partial."""
    reading = reader(guarded, basic_auth={"username": LOGIN[0], "password": LOGIN[1]}).read(request(ROWS))
    assert (reading.frames[()].observed.sum(), reading.partial, reading.warnings) == (20, False, ())


def test_an_answer_that_is_cut_off_is_partial(guarded: str) -> None:
    """An answer of the real server without chunks ends in `partial`: never truth, said with the remedy."""
    form = {"db": "metrics", "epoch": "ns", "q": "SELECT idle AS value FROM cpu GROUP BY host"}
    cut = httpx.post(f"{guarded}/query", data=form, auth=LOGIN).content
    assert b'"partial":true' in cut
    replay = Replay(lambda asked: Reply((cut,)))
    try:
        reading = reader(replay.url).read(request(ROWS))
    finally:
        replay.close()
    assert reading.partial
    assert reading.frames[()].observed.sum() == 15
    assert "`max_points_per_query`" in reading.warnings[0]


def test_max_points_per_query_splits_the_span(guarded: str) -> None:
    """Each request asks for so many windows at most, and together they bring every row once."""
    auth = {"username": LOGIN[0], "password": LOGIN[1]}
    upstream = httpx.Client(base_url=guarded, auth=LOGIN)
    replay = Replay(lambda asked: Reply((upstream.post(asked.path, content=asked.body, headers=FORM).content,)))
    try:
        split = reader(replay.url, lookback=0).read(request(ROWS, max_points_per_query=7))
    finally:
        replay.close()
        upstream.close()
    whole = reader(guarded, basic_auth=auth).read(request(ROWS))
    assert len(replay.asked) == 3
    assert split.frames[()].values.tolist() == whole.frames[()].values.tolist()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}

CHUNK = (
    '{"results":[{"statement_id":0,"series":[{"name":"cpu","columns":["time","value"],'
    '"values":[[1714532400000000000,1]],"partial":true}],"partial":true}]}\n'
)


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (CHUNK + '{"results":[{"statement_id":0,"error":"engine: shard is gone"}]}\n', "query_error", "shard is gone"),
        (CHUNK + '{"error":"timeout"}\n', "query_error", "timeout"),
        (CHUNK + "<html>bad gateway</html>\n", "garbled", "not JSON"),
        (CHUNK + '{"results":[{"series":[{"columns":["time"],"values":[[1,2]]}]}]}', "garbled", "not in the form"),
        ("", "garbled", "empty"),
        ("[1,2]", "garbled", "not an answer of InfluxDB"),
    ],
)
def test_an_error_after_good_chunks_is_no_verdict(body: str, reason: str, message: str) -> None:
    """With anything bad after good chunks, their rows are not taken for the whole answer."""
    replay = Replay(lambda asked: Reply.text(body))
    try:
        with pytest.raises(SourceError, match=message) as caught:
            reader(replay.url).read(request(ROWS))
    finally:
        replay.close()
    assert caught.value.reason == reason
    assert caught.value.recoverable == (message != "shard is gone")
