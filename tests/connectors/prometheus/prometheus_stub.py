"""A stand-in for the query API, behind httpx's mock transport, and short ways to build readers and requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pandas as pd

from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_monitor.plugins import Context, Query, Reading, ReadRequest

__all__ = ["HOUR", "MINUTE", "Stub", "column", "reader", "request"]

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")

Source = Callable[[float], float | str | None]
"""Unix seconds to a value; None where the series has no sample."""


class Stub:
    """Answers each expression with its series, evaluated at the points asked for; ``forms`` is what was asked."""

    def __init__(self, series: Mapping[str, list[tuple[dict[str, str], Source]]], **more: Any) -> None:
        self.series = dict(series)
        self.more = more
        """Further fields of the answers, such as ``warnings``."""
        self.refusals: list[httpx.Response] = []
        """Given instead of an answer, first to last."""
        self.forms: list[dict[str, str]] = []
        self.headers: list[httpx.Headers] = []
        self._lock = threading.Lock()

    def __call__(self, call: httpx.Request) -> httpx.Response:
        assert (call.method, call.url.path) == ("POST", "/prom/api/v1/query_range")
        form = dict(parse_qsl(call.content.decode(), strict_parsing=True))
        with self._lock:
            self.forms.append(form)
            self.headers.append(call.headers)
            if self.refusals:
                return self.refusals.pop(0)
        start, end, step = (round(float(form[key]) * 1000) for key in ("start", "end", "step"))
        assert (end - start) / step <= 11_000
        result = []
        for labels, source in self.series.get(form["query"], []):
            values = [
                (at / 1000, value) for at in range(start, end + 1, step) if (value := source(at / 1000)) is not None
            ]
            if values:
                result.append({"metric": labels, "values": [[at, str(value)] for at, value in values]})
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}, **self.more}
        return httpx.Response(200, content=json.dumps(body, separators=(",", ":")).encode())

    def spans(self) -> list[tuple[int, int]]:
        """First and last point of each request, in minutes after three o'clock, sorted."""
        first = HOUR.timestamp()
        return sorted((int(float(f["start"]) - first) // 60, int(float(f["end"]) - first) // 60) for f in self.forms)


def reader(handler: Callable[[httpx.Request], httpx.Response], **config: Any) -> PrometheusReader:
    """A reader called prom, of which no retry takes time."""
    config = {"url": "http://metrics.example/prom", **config}
    context = Context("prom", transport=httpx.MockTransport(handler))
    return PrometheusReader(PrometheusReader.Config.model_validate(config), context, sleep=lambda _: None)


def request(first: int, last: int, *queries: str | Query, groupby: tuple[str, ...] = ("instance",)) -> ReadRequest:
    """Minutes ``first`` to ``last`` (exclusive) after three o'clock; a query's name is its expression."""
    asked = tuple(Query(query, query) if isinstance(query, str) else query for query in queries)
    return ReadRequest(asked, HOUR + first * MINUTE, HOUR + last * MINUTE, MINUTE, groupby)


def column(reading: Reading, name: str, instance: str = "a") -> list[float]:
    """The values of one series of one instance."""
    frame = reading.frames[("instance", instance),]
    return [float(value) for value in frame.values[:, frame.names.index(name)]]
