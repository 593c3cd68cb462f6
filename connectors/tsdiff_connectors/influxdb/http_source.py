"""InfluxQL over ``/query`` (InfluxDB 1, and what answers like it), SQL and InfluxQL over ``/api/v3/`` (InfluxDB 3)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import orjson

from tsdiff_connectors.influxdb.columns import Answer
from tsdiff_connectors.influxdb.config import InfluxConfig, Language
from tsdiff_connectors.influxdb.influxql_answer import InfluxqlAnswer
from tsdiff_connectors.influxdb.rows_answer import RowsAnswer
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.plugins import Context

__all__ = ["HttpSource"]

_SEVERAL = re.compile(r"""\bFROM\s+(?:/|(?:"[^"]*"|[\w.])+\s*,|(?:"[^"]*"|[\w.])*\./)""", re.IGNORECASE)


class HttpSource:
    """Asks one server. May be used by several threads at once; raises ``HttpFailure`` and the parsers' errors."""

    def __init__(self, config: InfluxConfig, context: Context, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._client = HttpClient(config.url, config.authorized(), context, sleep=sleep)

    def __repr__(self) -> str:
        return f"HttpSource({self._client!r})"

    def query(self, text: str, language: Language, fields: tuple[str, ...] | None) -> Answer:
        """The answer of one query, read as it comes."""
        several = bool(_SEVERAL.search(text))
        if self._config.version == 3:
            return self._rows(text, language, RowsAnswer(fields, measurements=several))
        answer = InfluxqlAnswer(fields, measurements=several)
        form = {"q": text, "db": self._config.database, "epoch": "ns", "chunked": "true"}
        if self._config.retention_policy is not None:
            form["rp"] = self._config.retention_policy
        with self._client.stream("POST", "/query", data=form, headers={"Accept": "application/json"}) as pieces:
            for line in _lines(pieces):
                answer.feed(line)
        return answer.finish()

    def close(self) -> None:
        """Close the connections that are kept open; safe to call twice."""
        self._client.close()

    def _rows(self, text: str, language: Language, answer: RowsAnswer) -> Answer:
        body = orjson.dumps({"db": self._config.database, "q": text, "format": "jsonl"})
        headers = {"Content-Type": "application/json", "Accept": "application/jsonl"}
        path = "/api/v3/query_sql" if language == "sql" else "/api/v3/query_influxql"
        with self._client.stream("POST", path, content=body, headers=headers) as pieces:
            for line in _lines(pieces):
                answer.feed(line)
        return answer.finish()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, the last one with or without its end."""
    held: list[bytes] = []
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            yield b"".join((*held, end))
            held.clear()
        held.append(rest)
    if any(held):
        yield b"".join(held)
