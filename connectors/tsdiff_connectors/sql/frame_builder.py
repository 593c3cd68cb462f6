"""Rows of aggregates, as the database gives them, made into a frame per group.

Shapes: G groups, T rows of the grid, F features, N rows of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from tsdiff_connectors.reading.grouping import grid_ns
from tsdiff_connectors.sql.statements import Statement
from tsdiff_connectors.sql.syntax import COUNTING, Feature
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

__all__ = ["Answer", "Groups", "frames_of", "receive"]

_PART = 20_000
"""Rows that are fetched at once."""
_MAX_BYTES = 4 << 30
_CHUNK_CELLS = 2_000_000
"""Cells that are filled at once: enough for numpy to be quick, few enough to stay in memory that is warm."""


class Groups:
    """The groups met so far, numbered; all statements of a reading share it."""

    def __init__(self, cells_each: int, max_groups: int) -> None:
        self._bytes_each = 4 * cells_each
        self._max_groups = max_groups
        self._numbers: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def numbered(self, keys: Sequence[Sequence[Any]], rows: int) -> list[int]:
        """The number of each row's group. ``keys`` holds a column per label; raises ``SourceError`` at too many."""
        numbers = self._numbers
        found = [numbers.setdefault(key, len(numbers)) for key in (zip(*keys, strict=True) if keys else [()] * rows)]
        if len(numbers) > self._max_groups:
            raise SourceError(
                f"there are more groups than the {self._max_groups:,} that `max_groups` allows; group by a column with "
                "fewer values, choose fewer events by `where`, or raise `max_groups`",
                reason="too_many_groups",
                recoverable=False,
            )
        if len(numbers) * self._bytes_each > _MAX_BYTES:
            raise SourceError(
                f"{len(numbers):,} groups in a request of this span take more than {_MAX_BYTES >> 30} GiB; "
                "choose a longer step, a shorter `fit_window`, or fewer groups by `where`",
                reason="too_large",
                recoverable=False,
            )
        return found

    def labelled(self, groupby: Sequence[str]) -> list[Group]:
        """The groups by number. Raises ``SourceError`` for two that are alike as text (1 and '1' in SQLite)."""
        order = sorted(range(len(groupby)), key=lambda at: groupby[at])
        found = [tuple((groupby[at], str(key[at])) for at in order) for key in self._numbers]
        if len(set(found)) != len(found):
            twice = next(group for group in found if found.count(group) > 1)
            raise SourceError(
                f"the key {dict(twice)} stands for values of two types, such as 1 and '1'; make them of one type",
                reason="bad_data",
                recoverable=False,
            )
        return found


@dataclass(frozen=True)
class Answer:
    """Results of the statements over one time column. Times are nanoseconds since the epoch.

    ``group [N]``, ``row [N]`` and ``values [N, F]`` hold the intervals with events; ``before_group [M]``,
    ``before_newest [M]`` and ``before_since [M, S]`` the events before them (S features ``seconds_since_last``).
    """

    columns: Sequence[int]
    """Which of the request's queries the F features are."""
    features: Sequence[Feature]
    group: np.ndarray
    row: np.ndarray
    values: np.ndarray
    before_group: np.ndarray
    before_newest: np.ndarray
    before_since: np.ndarray


def receive(
    connection: sa.Connection, statements: Sequence[Statement], groups: Groups, keys: int
) -> tuple[np.ndarray, np.ndarray]:
    """Run statements of like columns, whose first ``keys`` name the group: its number ``[N]``, the rest ``[N, C]``."""
    numbers: list[np.ndarray] = [np.empty(0, np.int64)]
    columns: list[np.ndarray] = [np.empty((0, len(statements[0].selected_columns) - keys))]
    for statement in statements:
        with connection.execution_options(yield_per=_PART).execute(statement) as result:
            for part in result.partitions():
                fetched = list(zip(*part, strict=True))
                numbers.append(np.array(groups.numbered(fetched[:keys], len(part)), np.int64))
                columns.append(np.array(fetched[keys:], np.float64).reshape(-1, len(part)).T)
    return np.concatenate(numbers), np.concatenate(columns)


def frames_of(
    answers: Sequence[Answer], groups: Groups, request: ReadRequest, lookback: pd.Timedelta
) -> dict[Group, Frame]:
    """A frame per group, sorted. A row is missing where the group's last event lies ``lookback`` or longer back.

    A series without any value in the span is left out, and so is a group without any such series.
    """
    first, last, step = grid_ns(request)
    rows, remembered = (last - first) // step, max(1, lookback.as_unit("ns").value // step)
    names = [query.name for query in request.queries]
    series = tuple(Series(name, {}, name) for name in names)
    labels = groups.labelled(request.groupby)
    order = np.array(sorted(range(len(labels)), key=labels.__getitem__), np.int64)
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels))
    sorted_answers = [_sorted(answer, rank) for answer in answers]
    start = pd.Timestamp(first, tz="UTC")
    frames: dict[Group, Frame] = {}
    chunk = max(1, _CHUNK_CELLS // max(1, rows * len(names)))
    for low in range(0, len(labels), chunk):
        high = min(low + chunk, len(labels))
        values = _filled(sorted_answers, low, high, rows, len(names), (first, step, remembered))
        there = np.asarray(~np.isnan(values).all(axis=1))
        for at, number in enumerate(order[low:high]):
            if request.groups is not None and labels[number] not in request.groups:
                continue
            if there[at].all():
                frames[labels[number]] = Frame(start, request.step, values[at], series)
            elif there[at].any():
                kept = tuple(one for one, held in zip(series, there[at], strict=True) if held)
                frames[labels[number]] = Frame(start, request.step, values[at][:, there[at]], kept)
    return frames


def _sorted(answer: Answer, rank: np.ndarray) -> Answer:
    """The answer with its groups numbered in their sorted order, its rows sorted by them."""
    group, before = rank[answer.group], rank[answer.before_group]
    order, order_before = np.argsort(group, kind="stable"), np.argsort(before, kind="stable")
    return Answer(
        answer.columns,
        answer.features,
        group[order],
        answer.row[order],
        answer.values[order],
        before[order_before],
        answer.before_newest[order_before],
        answer.before_since[order_before],
    )


def _filled(
    answers: Sequence[Answer], low: int, high: int, rows: int, columns: int, grid: tuple[int, int, int]
) -> np.ndarray:
    """The cells of the groups ``low <= g < high``, float64 ``[g, T, F]``."""
    first, step, remembered = grid
    values = np.full((high - low, rows, columns), np.nan)
    number = np.arange(rows)
    alive = np.full((high - low, rows), -remembered)  # the row of the last event so far; negative: before the request
    for answer in answers:
        cells = slice(*np.searchsorted(answer.group, (low, high)))
        earlier = slice(*np.searchsorted(answer.before_group, (low, high)))
        group, row = answer.group[cells] - low, answer.row[cells]
        before = answer.before_group[earlier] - low
        alive[group, row] = row
        was = np.floor((answer.before_newest[earlier] - first) / step).astype(np.int64)
        alive[before, 0] = np.maximum(alive[before, 0], was)
        since = iter(range(answer.before_since.shape[1]))
        for at, (column, feature) in enumerate(zip(answer.columns, answer.features, strict=True)):
            found = answer.values[cells, at]
            if feature.function == "seconds_since_last":
                last = np.full((high - low, rows), -np.inf)
                last[before, 0] = np.nan_to_num(answer.before_since[earlier, next(since)], nan=-np.inf)
                last[group, row] = np.fmax(last[group, row], found)
                last = (np.maximum.accumulate(last, axis=1) - first) / step  # in rows
                with np.errstate(invalid="ignore"):
                    values[:, :, column] = np.where(number - np.floor(last) < remembered, number + 1 - last, np.nan)
                values[:, :, column] *= step / 1e9
            elif feature.function in COUNTING:
                values[:, :, column] = 0.0
                values[group, row, column] = np.nan_to_num(found)
            else:
                values[group, row, column] = found
    values[number - np.maximum.accumulate(alive, axis=1) >= remembered] = np.nan
    return values
