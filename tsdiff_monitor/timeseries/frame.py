"""The frame: a regular time grid of several series, with NaN where a value is missing.

Shapes: T rows (time steps), K columns (series). Times are UTC; ``values`` is float32 ``[T, K]``.
Readers build frames from the samples of their source with :func:`from_samples`; everything after that
(scaling, windows, scores, events) relies on the grid being regular, sorted and free of duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import DataError

__all__ = ["Frame", "Group", "Series", "floor_time", "from_samples", "group_name"]

Group = tuple[tuple[str, str], ...]
"""The labels that name a group, sorted by label name; ``()`` when a monitor does not group."""


def group_name(group: Group) -> str:
    """``instance=web-1,zone=a``; ``all`` for the one group of a monitor that does not group."""
    return ",".join(f"{label}={value}" for label, value in group) or "all"


def floor_time(time: pd.Timestamp, step: pd.Timedelta) -> pd.Timestamp:
    """The latest multiple of ``step`` since the epoch that is not after ``time``."""
    ns = time.as_unit("ns").value
    return pd.Timestamp(ns - ns % step.as_unit("ns").value, tz="UTC")


@dataclass(frozen=True)
class Series:
    """One metric of a frame. ``name`` is unique within its frame; ``query`` names the query it came from."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """``values[i, k]`` is series ``k`` at ``start + i * step``; NaN means missing. Immutable."""

    start: pd.Timestamp
    step: pd.Timedelta
    values: np.ndarray
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise DataError("a frame's start must carry a time zone (UTC)")
        if self.step <= pd.Timedelta(0):
            raise DataError(f"a frame's step must be positive, not {self.step}")
        if self.values.ndim != 2 or self.values.shape[1] != len(self.series):
            raise DataError(f"values of shape {self.values.shape} do not fit {len(self.series)} series")
        names = [series.name for series in self.series]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DataError(f"series names must be unique within a frame; twice: {', '.join(twice)}")
        with np.errstate(over="ignore"):  # a number beyond float32 becomes an infinity, and that a gap
            values = np.array(self.values, dtype=np.float32, copy=True)
        values[~np.isfinite(values)] = np.nan  # an infinity carries no more information than a gap
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "start", self.start.tz_convert("UTC").as_unit("ns"))
        object.__setattr__(self, "step", self.step.as_unit("ns"))

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def end(self) -> pd.Timestamp:
        """The first grid time after the last row (exclusive end)."""
        return self.start + self.step * len(self)

    @property
    def times(self) -> pd.DatetimeIndex:
        """The ``T`` row times, UTC."""
        first, step = self.start.value, self.step.value
        return pd.DatetimeIndex(np.arange(len(self), dtype=np.int64) * step + first, dtype="datetime64[ns, UTC]")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ``K`` series names."""
        return tuple(series.name for series in self.series)

    @property
    def observed(self) -> np.ndarray:
        """Boolean ``[T, K]``: which cells hold a value."""
        return np.asarray(~np.isnan(self.values))

    def row(self, time: pd.Timestamp) -> int:
        """The number of whole steps from ``start`` to ``time`` (may lie outside the frame)."""
        return int((time - self.start) // self.step)

    def rows(self, first: int, last: int) -> Frame:
        """The rows ``first <= i < last``, clipped to the frame."""
        first = min(max(first, 0), len(self))
        last = min(max(last, first), len(self))
        return Frame(self.start + self.step * first, self.step, self.values[first:last], self.series)

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> Frame:
        """The rows with ``start <= time < end``."""
        return self.rows(-((self.start - start) // self.step), -((self.start - end) // self.step))

    def select(self, names: Sequence[str]) -> Frame:
        """The named series, in the order given. Raises :class:`DataError` for one that is not there."""
        index = {name: k for k, name in enumerate(self.names)}
        absent = [name for name in names if name not in index]
        if absent:
            raise DataError(f"the frame has no series named {', '.join(absent)}")
        columns = [index[name] for name in names]
        return Frame(self.start, self.step, self.values[:, columns], tuple(self.series[k] for k in columns))

    def concat(self, later: Frame) -> Frame:
        """This frame followed by ``later``; rows between them are NaN, overlapping cells take ``later``'s value.

        Series may differ: the result holds the union, missing where a frame lacks one.
        """
        if later.step != self.step:
            raise DataError(f"cannot join frames with steps {self.step} and {later.step}")
        if (later.start - self.start) % self.step != pd.Timedelta(0):
            raise DataError("cannot join frames whose grids are shifted against each other")
        start, end = min(self.start, later.start), max(self.end, later.end)
        series = self.series + tuple(s for s in later.series if s.name not in set(self.names))
        columns = {s.name: k for k, s in enumerate(series)}
        values = np.full((int((end - start) // self.step), len(series)), np.nan, dtype=np.float32)
        for part in (self, later):
            first = int((part.start - start) // self.step)
            block = values[first : first + len(part)]
            at = [columns[name] for name in part.names]
            block[:, at] = np.where(part.observed, part.values, block[:, at])
        return Frame(start, self.step, values, series)

    def to_pandas(self) -> pd.DataFrame:
        """A data frame indexed by time, a column per series."""
        return pd.DataFrame(self.values, index=self.times, columns=list(self.names))


def from_samples(
    samples: Sequence[tuple[Series, np.ndarray, np.ndarray]],
    *,
    step: pd.Timedelta,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
) -> Frame:
    """Put irregular samples on a regular grid.

    ``samples`` holds, per series, int64 nanoseconds since the epoch ``[N]`` and values ``[N]``, in any order.
    Each sample goes into the cell whose interval ``[t, t + step)`` it falls in, cells being aligned to multiples
    of ``step`` since the epoch; the latest sample of a cell wins, and of two with the same time the one that came
    later in the input. Cells without a sample are NaN. Counters must have been turned into rates by the source's query.
    ``start`` and ``end`` (exclusive) bound the grid; left out, the samples do.
    """
    step_ns = step.as_unit("ns").value
    if step_ns <= 0:
        raise DataError(f"a frame's step must be positive, not {step}")
    cells = [(np.asarray(t, np.int64) // step_ns, np.asarray(t, np.int64), np.asarray(v)) for _, t, v in samples]
    spans = [(int(cell.min()), int(cell.max()) + 1) for cell, _, _ in cells if cell.size]
    if not spans and (start is None or end is None):
        raise DataError("there are no samples to build a frame from")
    first = min(a for a, _ in spans) if start is None else -(-start.as_unit("ns").value // step_ns)
    last = max(b for _, b in spans) if end is None else -(-end.as_unit("ns").value // step_ns)
    values = np.full((max(last - first, 0), len(samples)), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):
        for k, (cell, times, sample) in enumerate(cells):
            inside = (cell >= first) & (cell < last)
            order = np.argsort(times[inside], kind="stable")  # numpy assigns in order: the latest of a cell stays
            values[cell[inside][order] - first, k] = sample[inside][order]
    return Frame(pd.Timestamp(first * step_ns, tz="UTC"), step, values, tuple(series for series, _, _ in samples))
