"""Labelled series for benchmarks: two kinds of Parquet table, four protocols, one task each.

A *wide* table is one group of metrics: ``t`` (Unix seconds), numeric metrics, ``label`` and perhaps ``split``. A *long*
table holds univariate series: ``series, t, value, label`` and perhaps ``split``. The kind is recognised by the columns.
Labels are 1 (anomalous), 0 (normal) and -1 (unlabelled: left out of the measures); those of training rows are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import permutations
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import DataError

__all__ = ["PROTOCOLS", "Protocol", "Task", "load_tasks"]

Protocol = Literal["official", "prefix", "cross"]
PROTOCOLS: tuple[Protocol, ...] = ("official", "prefix", "cross")

_LONG = {"series", "t", "value", "label"}
_MAX_GRID = 4
"""A regular grid may have this many times the rows of the table; one with more gaps than rows is not one series."""


@dataclass(frozen=True, eq=False)
class Task:
    """One fit and one scoring. ``train [N, K]`` and ``test [T, K]`` are float32 with NaN where a value is missing."""

    series: str
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    """``[T]``: 1, 0, or -1 for rows that the measures leave out."""
    step_seconds: float
    published: Mapping[str, float] = field(default_factory=dict)
    """VUS-PR that others have published on this very series, by method."""


@dataclass(frozen=True)
class _Table:
    name: str
    data: pd.DataFrame

    @property
    def metrics(self) -> list[str]:
        return [str(name) for name in self.data.columns if name not in {"t", "split", "label"}]

    def half(self, second: bool) -> pd.DataFrame:
        """Training or test rows: by ``split``, or by half where there is none."""
        if "split" in self.data:
            return self.data[self.data["split"] == int(second)]
        middle = len(self.data) // 2
        return self.data.iloc[middle:] if second else self.data.iloc[:middle]


def load_tasks(
    folder: Path, protocol: Protocol = "official", *, series: str = "*", prefix_lengths: Path | None = None
) -> Iterator[Task]:
    """The tasks of a folder in the order of their names, those whose name matches the glob ``series``.

    ``official``: fit on split 0 and score split 1 (without a split: fit on the first half, score the second).
    ``prefix``, as TSB-AD does: the test half alone is the series; fit on its first ``train_rows`` rows, as
    ``prefix_lengths`` (CSV: ``machine, train_rows``, and published values) names them, and score all of it.
    ``cross``: fit on one file and score another, every ordered pair, on the metrics both have; splits are not used.
    Raises :class:`DataError` saying what is wrong with the folder or a file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name one that holds Parquet files")
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise DataError(f"{folder}: holds no Parquet file (*.parquet)")
    lengths = _prefix_lengths(prefix_lengths) if protocol == "prefix" else {}
    found = 0
    for task in _cross(paths) if protocol == "cross" else _single(paths, protocol, lengths, series):
        if fnmatch(task.series, series):
            found += 1
            yield task
    if not found:
        among = f" among the machines of {prefix_lengths}" if protocol == "prefix" else ""
        raise DataError(f"{folder}: no series{among} has a name that matches {series!r}")


def _single(paths: list[Path], protocol: Protocol, lengths: dict[str, pd.Series], series: str) -> Iterator[Task]:
    for table in (table for path in paths for table in _tables(path)):
        if not fnmatch(table.name, series):
            continue
        test = table.half(second=True)
        if protocol == "prefix":
            if table.name not in lengths:
                continue
            known = lengths[table.name]
            train = test.iloc[: int(known["train_rows"])]
            published = {str(k): float(v) for k, v in known.items() if k != "train_rows" and isinstance(v, float)}
        else:
            train, published = table.half(second=False), {}
        yield _task(table.name, train, test, table.metrics, published)


def _cross(paths: list[Path]) -> Iterator[Task]:
    tables = [table for path in paths for table in _tables(path)]
    if len(tables) < 2:
        raise DataError(
            f"{paths[0].parent}: the cross protocol fits one file and scores another, but there is only one"
        )
    for fit, scored in permutations(tables, 2):
        common = [name for name in fit.metrics if name in set(scored.metrics)]
        if not common:
            raise DataError(f"{fit.name} and {scored.name} have no metric in common")
        yield _task(f"{scored.name} by {fit.name}", fit.data, scored.data, common, {})


def _tables(path: Path) -> Iterator[_Table]:
    try:
        data = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{path}: not a readable Parquet file ({error})") from None
    if absent := {"t", "label"} - set(data.columns):
        raise DataError(f"{path}: lacks the columns {', '.join(sorted(absent))} (t: Unix seconds; label: 0, 1 or -1)")
    if set(data.columns) >= _LONG:
        for name, rows in data.groupby("series", observed=True, sort=True):
            yield _Table(str(name), rows.drop(columns="series"))
        return
    texts = [str(name) for name in data.columns if not pd.api.types.is_numeric_dtype(data[name])]
    if texts:
        raise DataError(f"{path}: every column must be a number, but these are not: {', '.join(texts)}")
    yield _Table(path.stem, data)


def _task(
    name: str, train: pd.DataFrame, test: pd.DataFrame, metrics: list[str], published: Mapping[str, float]
) -> Task:
    if train.empty or test.empty:
        raise DataError(f"{name}: has no {'training' if train.empty else 'test'} rows")
    fitted, _, _ = _grid(name, train, metrics)
    scored, labels, step = _grid(name, test, metrics)
    return Task(name, fitted, scored, labels, step, published)


def _grid(name: str, rows: pd.DataFrame, metrics: list[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Values and labels on a regular grid, and its step. Of rows with the same time the first stays; gaps are NaN."""
    rows = rows.drop_duplicates("t").sort_values("t")
    times = rows["t"].to_numpy(np.int64)
    values = np.array(rows[metrics], dtype=np.float32)  # a copy
    values[~np.isfinite(values)] = np.nan
    labels = rows["label"].to_numpy(np.int8)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    at = np.round((times - times[0]) / step).astype(np.int64)
    size = int(at[-1]) + 1
    if size == len(at):
        return values, labels, step
    if size > _MAX_GRID * len(at):
        raise DataError(f"{name}: its {len(at)} rows are mostly {step:g} s apart but span {size} such steps")
    on_grid = np.full((size, len(metrics)), np.nan, np.float32)
    on_grid[at] = values
    grid_labels = np.full(size, -1, np.int8)
    grid_labels[at] = labels
    return on_grid, grid_labels, step


def _prefix_lengths(path: Path | None) -> dict[str, pd.Series]:
    if path is None:
        raise DataError("the prefix protocol needs --prefix-lengths: a CSV with the columns machine and train_rows")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable CSV ({error})") from None
    if absent := {"machine", "train_rows"} - set(table.columns):
        raise DataError(f"{path}: lacks the columns {', '.join(sorted(absent))}")
    return {str(row["machine"]): row.drop("machine") for _, row in table.iterrows()}
