"""A stand-in for InfluxDB 2 and 3, which cannot be installed here: replays answers in their formats over real HTTP.

The formats are those of the documentation: annotated CSV
(https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/) and JSON lines
(https://docs.influxdata.com/influxdb3/core/api/query-data/).
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest

from tsdiff_connectors.influxdb import InfluxReader
from tsdiff_monitor.plugins import Context

__all__ = ["Asked", "Replay", "Reply", "annotated", "closing_readers", "flux_answer", "influx_reader", "jsonl_answer"]

_OPENED: list[InfluxReader] = []


def influx_reader(version: int, url: str, *, now: float = 1.8e9, **config: Any) -> InfluxReader:
    """A reader whose clock stands at ``now``, that never sleeps, and that :func:`closing_readers` closes."""
    options = {"version": version, "url": url, **config}
    reader = InfluxReader(InfluxReader.Config.model_validate(options), Context(now=lambda: now), sleep=lambda _: None)
    _OPENED.append(reader)
    return reader


@pytest.fixture(autouse=True)
def closing_readers() -> Iterator[None]:
    """Closes the readers that a test has opened."""
    yield
    while _OPENED:
        _OPENED.pop().close()


DATATYPES = {float: "double", int: "long", bool: "boolean", str: "string"}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def query(self) -> str:
        """The query in the body."""
        document = json.loads(self.body)
        return str(document.get("query", document.get("q")))


@dataclass
class Reply:
    """The answer: ``pieces`` of the body with ``pause`` seconds after each; ``cut``: close without an end."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    cut: bool = False

    @classmethod
    def text(cls, body: str, **more: Any) -> Reply:
        """One piece."""
        return cls((body.encode(),), **more)


class Replay:
    """Listens on 127.0.0.1 until :meth:`close`. ``answer`` may be replaced at any time."""

    def __init__(self, answer: Callable[[Asked], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        replay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                replay.asked.append(asked)
                self._send(replay.answer(asked))

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in {"Transfer-Encoding": "chunked", **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in reply.pieces:
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                        self.wfile.flush()
                        if reply.pause and replay.ended.wait(reply.pause):
                            break
                    if reply.cut:
                        self.close_connection = True
                        return
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True  # the client has had enough

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]  # clients that go on purpose
        scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server and all that it still answers."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Rows = Mapping[tuple[tuple[str, str], ...], Mapping[int, float | int | bool | str]]
"""Labels (``_measurement``, ``_field`` and tags) to second and value."""


def annotated(*tables: tuple[Mapping[str, str], str, Sequence[tuple[str, Any]]]) -> str:
    """Annotated CSV of tables: group key, name of the result, and pairs of time and value."""
    lines: list[str] = []
    before = None
    for number, (key, result, rows) in enumerate(tables):
        names = ["result", "table", "_start", "_stop", "_time", "_value", *key]
        time_type = "dateTime:RFC3339"
        kinds = ["string", "long", time_type, time_type, time_type, DATATYPES[type(rows[0][1])], *["string"] * len(key)]
        if (names, kinds, result) != before:
            grouped = ["false", "false", "true", "true", "false", "false", *["true"] * len(key)]
            lines += ["", "#datatype," + ",".join(kinds), "#group," + ",".join(grouped)]
            lines += [f"#default,{result}," + "," * (len(names) - 2), "," + ",".join(names)]
            before = (names, kinds, result)
        for moment, value in rows:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            cells = ["", str(number), "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", moment, shown, *key.values()]
            lines.append("," + ",".join(cells))
    return "\r\n".join(lines[1:]) + "\r\n\r\n"


def flux_answer(data: Rows) -> Callable[[Asked], Reply]:
    """Answers ``range``, equalities in ``filter`` and ``aggregateWindow`` with mean, last or count, from ``data``."""

    def answer(asked: Asked) -> Reply:
        flux = asked.query
        start, stop = (
            pd.Timestamp(m).timestamp()
            for m in re.search(r"start: (\S+), stop: (\S+?)\)", flux).groups()  # type: ignore[union-attr]
        )
        fields = set(re.findall(r'_field == "(\w+)"', flux))
        wanted = dict(re.findall(r'r(?:\.|\[")(\w+)(?:"\])? == "([^"]*)"', flux))
        wanted.pop("_field", None)
        every, function = re.search(r"every: (\d+)s, fn: (\w+)", flux).groups()  # type: ignore[union-attr]
        late = 0 if '"_start"' in flux else int(every)
        tables = []
        for labels, values in sorted(data.items()):
            named = dict(labels)
            if named["_field"] in fields and all(named.get(name) == value for name, value in wanted.items()):
                rows = list(_windowed(values, start, stop, int(every), function))
                if rows:
                    tables.append((named, "_result", [(_rfc3339(t + late), value) for t, value in rows]))
        return Reply.text(annotated(*tables))

    return answer


def jsonl_answer(data: Rows) -> Callable[[Asked], Reply]:
    """Answers ``SELECT mean("field") … GROUP BY time(…), *`` in JSON lines, from ``data``."""

    def answer(asked: Asked) -> Reply:
        text = asked.query
        start, stop = (int(m) / 1e9 for m in re.search(r"time >= (\d+) AND time < (\d+)", text).groups())  # type: ignore[union-attr]
        every = int(re.search(r"time\((\d+)s\)", text)[1])  # type: ignore[index]
        calls = re.findall(r'(\w+)\("(\w+)"\)', text)
        measurement = re.search(r'FROM "(\w+)"', text)[1]  # type: ignore[index]
        rows = []
        for function, name in calls:
            for labels, values in data.items():
                named = dict(labels)
                if (named.pop("_measurement"), named.pop("_field")) == (measurement, name):
                    for t, value in _windowed(values, start, stop, every, function):
                        row = {"iox::measurement": measurement, "time": _rfc3339(t).rstrip("Z"), name: value, **named}
                        rows.append(json.dumps(row))
        return Reply.text("\n".join(rows) + "\n" if rows else "")

    return answer


def _windowed(
    values: Mapping[int, Any], start: float, stop: float, every: int, function: str
) -> Iterator[tuple[int, Any]]:
    windows: dict[int, list[Any]] = {}
    for t, value in sorted(values.items()):
        if start <= t < stop:
            windows.setdefault(t - t % every, []).append(value)
    for t, held in windows.items():
        if function == "mean":
            yield t, sum(held) / len(held)
        else:
            yield t, held[-1] if function == "last" else len(held)


def _rfc3339(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
