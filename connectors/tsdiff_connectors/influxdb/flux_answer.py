"""Answers of InfluxDB 2: annotated CSV, as the client hands them over.

Format: https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/. An answer holds any number of tables,
each block of them with its own columns and types, so one field may be an integer in one block and text in the next. The
query may fail after good tables: then a table with the columns ``error`` and ``reference`` comes last. The client sends
the query and brings the text; what it would make of it are a Python object per row, times cut to microseconds, and
frames that fail on pivoted tables of mixed types, so the text is read here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tsdiff_connectors.influxdb.columns import Answer, GarbledError, Labels, RefusedError, UnusableError, times_ns

__all__ = ["read_annotated_csv"]

_NUMBERS = {"double", "long", "unsignedLong", "boolean"}
_BATCH = 20_000
"""Rows after which columns are made of them: a row of Python strings takes many times its size."""


def read_annotated_csv(lines: Iterable[list[str]], fields: tuple[str, ...] | None) -> Answer:
    """Read the cells of an answer, line by line. ``fields``: what the short form asked for, None for other queries.

    Raises :class:`GarbledError`, :class:`RefusedError` or :class:`UnusableError`.
    """
    answer = Answer()
    block = _Block(answer, fields)
    annotated = False
    for cells in lines:
        if not cells or cells == [""]:
            continue
        if cells[0].startswith("#"):
            if not annotated:  # the first annotation of a new block
                block.flush()
                block = _Block(answer, fields)
            annotated = True
            block.annotations[cells[0]] = cells[1:]
        elif annotated or not block.header:
            block.begin(cells[1:])
            annotated = False
        else:
            block.row(cells)
    if annotated:
        raise GarbledError("it ends before a table begins")
    block.flush()
    return answer


class _Block:
    """Tables that share their columns."""

    def __init__(self, answer: Answer, fields: tuple[str, ...] | None) -> None:
        self.annotations: dict[str, list[str]] = {}
        self.header: list[str] = []
        self._answer = answer
        self._is_error = False
        self._hidden = {"result", "table", "_start", "_stop", "_time"}
        if fields is not None:
            self._hidden |= {"_measurement"} | ({"_field"} if len(fields) == 1 else set())
        self._rows: list[list[str]] = []

    def begin(self, header: list[str]) -> None:
        self.header = header
        self._is_error = header[:2] == ["error", "reference"] or header == ["error"]
        if self._is_error:
            return
        for name in ("#datatype", "#default"):
            if not header or len(self.annotations.get(name, ())) != len(header):
                raise GarbledError(f"a table lacks its annotations; it begins with {','.join(header)[:80]!r}")

    def row(self, cells: list[str]) -> None:
        """A line of cells, the empty one before the first column included."""
        if self._is_error:
            reference = f" (reference {cells[2]})" if len(cells) > 2 and cells[2] else ""
            raise RefusedError(f"{cells[1] if len(cells) > 1 else 'unknown error'}{reference}")
        if len(cells) != len(self.header) + 1:
            raise GarbledError(f"a row of {len(cells) - 1} cells is in a table of {len(self.header)} columns")
        self._rows.append(cells)
        if len(self._rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Make series of the rows gathered so far."""
        if self._is_error:
            raise RefusedError("the query failed, and the answer ends before it says why")
        if not self._rows:
            return
        if "_time" not in self.header:
            raise UnusableError("its rows have no column `_time`; end it with aggregateWindow(), or keep that column")
        kinds = dict(zip(self.header, self.annotations["#datatype"], strict=True))
        times = times_ns(self._column("_time"))
        if kinds.get("_value") == "string":
            self._answer.text.add(self._column("_field")[0] if "_field" in kinds else "_value")
        tags = [n for n, kind in kinds.items() if kind == "string" and n not in self._hidden and n != "_value"]
        rows = _rows_by_labels(tags, [self._column(name) for name in tags], len(times))
        for name, kind in kinds.items():
            if (name != "_value" and ("_value" in kinds or name in self._hidden)) or kind not in _NUMBERS:
                continue
            values = _numbers(self._column(name), kind)
            for labels, at in rows:
                full = labels if name == "_value" else tuple(sorted((*labels, ("_field", name))))
                self._answer.add(full, times[at], values[at])
        self._rows = []

    def _column(self, name: str) -> list[str]:
        """The cells of one column, with its default where they are empty."""
        at = self.header.index(name)
        default = self.annotations["#default"][at]
        if default:
            return [cells[at + 1] or default for cells in self._rows]
        return [cells[at + 1] for cells in self._rows]


def _numbers(cells: list[str], kind: str) -> np.ndarray:
    if kind == "boolean":
        known = {"true": 1.0, "false": 0.0, "": np.nan}
        try:
            return np.array([known[cell] for cell in cells])
        except KeyError as error:
            raise GarbledError(f"{error.args[0]!r} is not a boolean") from None
    try:
        return np.array([cell or "nan" for cell in cells], dtype=np.float64)
    except ValueError as error:
        raise GarbledError(f"a number cannot be read: {str(error)[:80]}") from None


def _rows_by_labels(names: list[str], columns: list[list[str]], count: int) -> list[tuple[Labels, np.ndarray]]:
    """The labels that occur, and which rows bear them. An empty cell is a tag that the row does not have."""
    if not names:
        return [((), np.arange(count))]
    found: dict[tuple[str, ...], list[int]] = {}
    for row, cells in enumerate(zip(*columns, strict=True)):
        found.setdefault(cells, []).append(row)
    return [
        (tuple(sorted((name, cell) for name, cell in zip(names, cells, strict=True) if cell)), np.array(rows))
        for cells, rows in found.items()
    ]
