"""Tables on disk (Parquet, CSV) as arrays, and as frames.

A *wide* table has a time column and a column per metric; a *long* one has a row per sample: ``t, series, value``.
The accepted columns are documented in ``docs/data-files.md``. Shapes: N rows, K metrics.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.timeseries import table_columns as columns
from tsdiff_monitor.timeseries.frame import Frame, Series, floor_time, from_samples
from tsdiff_monitor.timeseries.table_files import TIME_COLUMNS, load_columns

__all__ = ["Layout", "Table", "check_grid", "read_table", "read_tables", "to_frame"]

Layout = Literal["wide", "long"]

_SPLIT = {0: "fit", 1: "score"}
_LABEL = {1: "anomalous", 0: "normal", -1: "unknown"}
_ALIKE = 0.1
"""Share of the differences between times that the most common one must have, to be more than a coincidence."""
_MAX_ROWS, _MAX_BYTES = 20_000_000, 4_000_000_000


@dataclass(frozen=True, eq=False)
class Table:
    """A table's rows, sorted by time and free of duplicate times.

    ``times_ns`` int64 ``[N]`` nanoseconds since the epoch, UTC; ``values`` float32 ``[N, K]``, NaN where missing;
    ``split`` int8 ``[N]`` (0 to fit on, 1 to score) and ``label`` int8 ``[N]`` (1 anomalous, 0 normal, -1 unknown),
    None where the file has no such column. ``warnings`` says what was repaired or left out; ``layout`` how the file
    was laid out.
    """

    path: Path
    times_ns: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    split: np.ndarray | None = None
    label: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    layout: Layout = "wide"

    def __len__(self) -> int:
        return len(self.times_ns)

    @property
    def step(self) -> pd.Timedelta:
        """The most common difference between consecutive times, or the middle one where hardly any two are alike.

        Raises :class:`DataError` below two rows.
        """
        if len(self) < 2:
            raise DataError(f"{self.path}: a single row has no step; give at least two rows with different times")
        common, share = self._common_difference()
        return pd.Timedelta(int(np.median(np.diff(self.times_ns))) if share < _ALIKE else common, unit="ns")

    @property
    def irregular(self) -> bool:
        """True if hardly any two differences between consecutive times are alike."""
        return len(self) > 1 and self._common_difference()[1] < _ALIKE

    def _common_difference(self) -> tuple[int, float]:
        """The most common difference between consecutive times (nanoseconds), and its share of all."""
        steps, counts = np.unique(np.diff(self.times_ns), return_counts=True)
        most = int(np.argmax(counts))
        return int(steps[most]), float(counts[most] / counts.sum())


def read_table(path: Path, layout: Layout | None = None) -> Table:
    """Read one Parquet or CSV file; a long table's series are joined by time (``layout`` None: by the columns).

    Where series of a long table differ, a joined row is to be scored if any of them says so, and anomalous if any is.
    Raises :class:`DataError` naming file, column, first bad value and remedy.
    """
    tables = read_tables(path, layout)
    return tables[0] if len(tables) == 1 else _joined(tables)


def read_tables(path: Path, layout: Layout | None = None) -> tuple[Table, ...]:
    """As :func:`read_table`, with one single-metric table per series of a long table; one table for a wide one."""
    data, notes = load_columns(path)
    if layout is None:
        layout = "long" if {"series", "value"} <= set(data.column_names) else "wide"
    return _long_tables(path, data, notes) if layout == "long" else (_wide_table(path, data, notes),)


def to_frame(
    table: Table, step: pd.Timedelta | None = None, rows: np.ndarray | None = None
) -> tuple[Frame, np.ndarray]:
    """Put the table (or its ``rows``, a mask ``[N]``) on a regular grid of ``step`` (None: ``table.step``).

    Returns the frame and, for each kept table row, its row in the frame: several table rows may share one.
    Raises :class:`DataError` for a grid too large to hold in memory.
    """
    kept = np.arange(len(table)) if rows is None else np.flatnonzero(rows)
    if not len(kept):
        raise DataError(f"{table.path}: there are no rows to use")
    step = (table.step if step is None else step).as_unit("ns")
    times, values = table.times_ns[kept], table.values[kept]
    start = floor_time(pd.Timestamp(int(times[0]), tz="UTC"), step)
    at = (times - start.value) // step.value
    length = int(at[-1]) + 1
    check_grid(length, len(table.names), f"{table.path}: a grid of step {step} over {len(kept):,} rows")
    samples = []
    for k, name in enumerate(table.names):
        there = ~np.isnan(values[:, k])
        samples.append((Series(name), times[there], values[there, k]))
    return from_samples(samples, step=step, start=start, end=start + length * step), at


def check_grid(rows: int, metrics: int, what: str) -> None:
    """Raise :class:`DataError` where a regular grid of ``rows`` x ``metrics`` float32 cells would not fit in memory."""
    if rows > _MAX_ROWS or rows * metrics * 4 > _MAX_BYTES:
        raise DataError(
            f"{what} would take {rows:,} rows of {metrics} metrics, more than can be held in memory; "
            "choose a longer step, look for stray times far from the others, or split the data"
        )


def _column(data: pa.Table, name: str) -> pd.Series:
    column: pd.Series = data.column(name).to_pandas()
    return column


def _times(path: Path, data: pa.Table) -> tuple[str, np.ndarray]:
    found = [name for name in data.column_names if name in TIME_COLUMNS]
    if len(found) > 1:
        raise DataError(f"{path}: several columns could be the time ({', '.join(found)}); keep one of them")
    if not found:
        near = [name for name in data.column_names if name.strip().lower() in (*TIME_COLUMNS, "date", "datetime", "ds")]
        hint = f"rename {near[0]!r} to 'time'" if near else "add 't' (Unix seconds) or 'time' (ISO 8601)"
        shown = ", ".join(data.column_names[:8]) + (", …" if data.num_columns > 8 else "")
        raise DataError(f"{path}: no time column among {shown}; {hint}")
    name = found[0]
    where = f"{path}: the time column {name!r}"
    return name, columns.times_ns(_column(data, name), where, seconds_only=name == "t")


def _reserved(path: Path, data: pa.Table) -> tuple[np.ndarray | None, np.ndarray | None]:
    split = label = None
    if "split" in data.column_names:
        split = columns.flags(_column(data, "split"), f"{path}: the column 'split'", _SPLIT, empty=None)
    if "label" in data.column_names:
        label = columns.flags(_column(data, "label"), f"{path}: the column 'label'", _LABEL, empty=-1)
    return split, label


def _wide_table(path: Path, data: pa.Table, notes: list[str]) -> Table:
    time, times = _times(path, data)
    split, label = _reserved(path, data)
    names = tuple(name for name in data.column_names if name not in (time, "split", "label", "part"))
    if not names:
        raise DataError(f"{path}: there are no metric columns beside {', '.join(data.column_names)}; add at least one")
    values = np.empty((data.num_rows, len(names)), dtype=np.float32)
    with np.errstate(over="ignore"):  # a number beyond float32 becomes an infinity, and that a gap
        for k, name in enumerate(names):
            values[:, k] = columns.numbers(_column(data, name), f"{path}: the column {name!r}")
    return _table(path, times, values, names, split, label, notes)


def _long_tables(path: Path, data: pa.Table, notes: list[str]) -> tuple[Table, ...]:
    absent = [name for name in ("series", "value") if name not in data.column_names]
    if absent:
        raise DataError(
            f"{path}: a long table needs the columns t, series and value; {' and '.join(absent)} is missing"
        )
    time, times = _times(path, data)
    split, label = _reserved(path, data)
    extra = [name for name in data.column_names if name not in (time, "series", "value", "split", "label", "part")]
    if extra:
        notes = [*notes, f"columns that a long table does not use were left out: {', '.join(extra)}"]
    with np.errstate(over="ignore"):
        value = columns.numbers(_column(data, "value"), f"{path}: the column 'value'").astype(np.float32)
    codes, names = columns.series_codes(_column(data, "series"), f"{path}: the column 'series'")
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    tables = []
    for name, first, last in zip(names, bounds[:-1], bounds[1:], strict=True):
        at = order[first:last]
        one = _table(
            path, times[at], value[at, None], (name,), _at(split, at), _at(label, at), notes, f" of series {name!r}"
        )
        tables.append(one)
    return tuple(tables)


def _table(
    path: Path,
    times: np.ndarray,
    values: np.ndarray,
    names: tuple[str, ...],
    split: np.ndarray | None,
    label: np.ndarray | None,
    notes: list[str],
    series: str = "",
) -> Table:
    order = np.argsort(times, kind="stable")
    last = np.append(np.diff(times[order]) != 0, True)
    if not last.all():
        first = pd.Timestamp(int(times[order][~last][0]), tz="UTC")
        count, of = int((~last).sum()), f" of series {series!r}" if series else ""
        notes = [
            *notes,
            f"{count} rows{of} have the time of a later row and were left out (first at {first.isoformat()})",
        ]
    order = order[last]
    values = np.where(np.isfinite(values[order]), values[order], np.float32(np.nan))
    times, split, label = times[order], _at(split, order), _at(label, order)
    for array in (times, values, split, label):
        if array is not None:
            array.flags.writeable = False
    return Table(path, times, values, names, split, label, tuple(notes), "long" if series else "wide")


def _at(flag: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if flag is None else flag[rows]


def _joined(tables: tuple[Table, ...]) -> Table:
    """The series of a long table side by side, a row for every time that any of them has."""
    path = tables[0].path
    times = np.unique(np.concatenate([table.times_ns for table in tables]))
    check_grid(len(times), len(tables), f"{path}: joining its series")
    values = np.full((len(times), len(tables)), np.nan, dtype=np.float32)
    split = None if tables[0].split is None else np.zeros(len(times), dtype=np.int8)
    label = None if tables[0].label is None else np.full(len(times), -1, dtype=np.int8)
    for k, table in enumerate(tables):
        at = np.searchsorted(times, table.times_ns)
        values[at, k] = table.values[:, 0]
        if split is not None and table.split is not None:
            split[at] = np.maximum(split[at], table.split)
        if label is not None and table.label is not None:
            label[at] = np.maximum(label[at], table.label)
    notes = dict.fromkeys(note for table in tables for note in table.warnings)
    names = tuple(table.names[0] for table in tables)
    return dataclasses.replace(_table(path, times, values, names, split, label, list(notes)), layout="long")
