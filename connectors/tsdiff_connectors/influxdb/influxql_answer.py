"""Answers of ``/query``, InfluxDB's API for InfluxQL, in the form of chunks: one JSON document a line.

API: https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint. A status of 200 says nothing: errors
stand in ``results[].error``, also after good chunks, and ``partial`` marks each chunk but the last one.
"""

from __future__ import annotations

from typing import Any

import orjson

from tsdiff_connectors.influxdb.columns import Answer, GarbledError, RefusedError, UnusableError, numbers, times_ns

__all__ = ["InfluxqlAnswer"]

VALUE = "value"
"""A column of this name is the query's value, and is not distinguished by a label ``_field``."""


class InfluxqlAnswer:
    """Reads lines as they come. ``fields``: the columns that the query in the short form asked for, None for others."""

    def __init__(self, fields: tuple[str, ...] | None, *, measurements: bool = False) -> None:
        self.answer = Answer()
        self._plain = {VALUE} if fields is None else set(fields if len(fields) == 1 else ())
        self._measurements = measurements
        self._seen = False
        self._pending = False

    def feed(self, line: bytes) -> None:
        """One chunk. Raises :class:`GarbledError` or :class:`RefusedError`."""
        if not line.strip():
            return
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise GarbledError(f"not JSON: {line[:80].decode(errors='replace')!r}") from None
        if not isinstance(document, dict):
            raise GarbledError(f"not an answer of InfluxDB: {line[:80].decode(errors='replace')!r}")
        if "error" in document:
            raise RefusedError(str(document["error"]))
        results = document.get("results")
        if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
            raise GarbledError(f"not an answer of InfluxDB: {line[:80].decode(errors='replace')!r}")
        for result in results:
            if "error" in result:
                raise RefusedError(str(result["error"]))
            if result.get("statement_id", 0) != 0:
                raise UnusableError("it holds several statements; make each a query of its own")
            series = result.get("series", [])
            for one in series:
                self._series(one)
            # Chunks announce that more follows; an announcement at the very end means that rows were left out.
            self._pending = bool(result.get("partial")) or bool(series and series[-1].get("partial"))
            self._seen = True

    def finish(self) -> Answer:
        """The series read. Raises :class:`GarbledError` for an answer that ended before it began."""
        if not self._seen:
            raise GarbledError("the answer is empty")
        self.answer.partial = self._pending
        return self.answer

    def _series(self, one: dict[str, Any]) -> None:
        try:
            columns: list[str] = one["columns"]
            rows: list[list[Any]] = one["values"]
            tags = {tag: value for tag, value in one.get("tags", {}).items() if value}
            by_column = dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else {}
        except (KeyError, TypeError, AttributeError, ValueError):
            raise GarbledError("a series is not in the form that InfluxDB sends") from None
        if not by_column:
            return
        if "time" not in by_column:
            raise UnusableError("its rows have no column `time`")
        times = times_ns(by_column.pop("time"))
        if self._measurements:
            tags["_measurement"] = str(one.get("name", ""))
        for name, column in by_column.items():
            values, text = numbers(column)
            if text:
                self.answer.text.add(name)
            if text and not (values == values).any():
                continue
            labels = tags if name in self._plain else {**tags, "_field": name}
            self.answer.add(tuple(sorted(labels.items())), times, values)
