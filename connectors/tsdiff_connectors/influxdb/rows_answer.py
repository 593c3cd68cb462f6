"""Answers of InfluxDB 3 in JSON lines: one row a line, as SQL and InfluxQL over ``/api/v3/`` bring them.

API: https://docs.influxdata.com/influxdb3/core/api/query-data/. A column without a value is left out of its row, so
every row may have other columns. Text distinguishes series (tags are text there), numbers are values.
"""

from __future__ import annotations

from typing import Any

import orjson

from tsdiff_connectors.influxdb.columns import (
    Answer,
    GarbledError,
    Labels,
    RefusedError,
    UnusableError,
    numbers,
    times_ns,
)
from tsdiff_connectors.influxdb.influxql_answer import VALUE

__all__ = ["RowsAnswer"]

_MEASUREMENT = "iox::measurement"
_BATCH = 20_000
"""Rows after which columns are made of them: a row of Python objects takes many times its size."""


class RowsAnswer:
    """Reads lines as they come. ``fields``: the columns that the query in the short form asked for, None for others."""

    def __init__(self, fields: tuple[str, ...] | None, *, measurements: bool = False) -> None:
        self.answer = Answer()
        self._fields = None if fields is None else frozenset(fields)
        self._plain = {VALUE} if fields is None else set(fields if len(fields) == 1 else ())
        self._measurements = measurements
        self._cells: dict[tuple[Labels, str], tuple[list[object], list[object]]] = {}
        self._rows = 0

    def feed(self, line: bytes) -> None:
        """One row. Raises :class:`GarbledError`, :class:`RefusedError` or :class:`UnusableError`."""
        if not line.strip():
            return
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise GarbledError(f"not JSON: {line[:80].decode(errors='replace')!r}") from None
        if not isinstance(row, dict):
            raise GarbledError(f"not a row of InfluxDB: {line[:80].decode(errors='replace')!r}")
        if "error" in row and "time" not in row:
            raise RefusedError(str(row["error"]))
        time = row.pop("time", None)
        if time is None:
            raise UnusableError("its rows have no column `time`; select it, as in `date_bin($interval, time) AS time`")
        self._row(time, row)
        self._rows += 1
        if self._rows % _BATCH == 0:
            self._flush()

    def finish(self) -> Answer:
        """The rows; none at all is no error, the answer may have no rows."""
        self._flush()
        return self.answer

    def _row(self, time: object, row: dict[str, Any]) -> None:
        measurement = row.pop(_MEASUREMENT, "")
        tags = [item for item in row.items() if type(item[1]) is str and item[1]]
        if self._fields is not None and any(name in self._fields for name, _ in tags):
            self.answer.text.update(name for name, _ in tags if name in self._fields)
            tags = [(name, value) for name, value in tags if name not in self._fields]
        if self._measurements and measurement:
            tags.append(("_measurement", measurement))
        labels = tuple(sorted(tags))
        for name, value in row.items():
            if isinstance(value, (int, float)):
                times, values = self._cells.setdefault((labels, name), ([], []))
                times.append(time)
                values.append(value)

    def _flush(self) -> None:
        for (labels, name), (times, values) in self._cells.items():
            full = labels if name in self._plain else tuple(sorted((*labels, ("_field", name))))
            self.answer.add(full, times_ns(times), numbers(values)[0])
        self._cells.clear()
