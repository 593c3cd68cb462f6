"""Which points of time are asked of the source, in which requests, and which rows each value stands for.

The API's ranges are closed at both ends; ours are half-open, so that neighbouring spans share no row.
All numbers are milliseconds since the epoch, the resolution of Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_connectors.reading.grouping import grid_ns
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["Range", "Schedule", "schedule"]

_DAY = 86_400_000
_NS = 1_000_000


@dataclass(frozen=True)
class Range:
    """One request: the points ``start, start + step, ..., end``, both ends included."""

    start: int
    end: int
    step: int

    @property
    def points(self) -> int:
        return (self.end - self.start) // self.step + 1

    @property
    def aligned(self) -> bool:
        """True where all points are multiples of the step: servers may move those of other requests."""
        return self.start % self.step == 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """The points of one query. The value at ``times[i] - offset`` holds for the rows ``edges[i] <= t < edges[i + 1]``.

    ``times`` and ``edges`` have shapes ``[P]`` and ``[P + 1]``; ``step`` is that of the rows.
    """

    times: np.ndarray
    edges: np.ndarray
    offset: int
    spacing: int
    step: int

    def ranges(self, most: int) -> Iterator[Range]:
        """The requests that bring all points, each of at most ``most`` points, no point twice."""
        points = self.times - self.offset
        gaps = np.diff(points)
        at = 0
        while at < len(points):
            step, last = self.spacing, at
            if at < len(gaps) and most > 1:
                step = int(gaps[at])  # days are of 23 or 25 hours where the clocks change
                others = np.flatnonzero(gaps[at : at + most - 1] != step)
                last = at + (int(others[0]) if len(others) else min(most - 1, len(gaps) - at))
            yield Range(int(points[at]), int(points[last]), step)
            at = last + 1

    def rows(self, times: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
        """Samples ``[N]`` of several series, ``lengths[s]`` of each, as rows: the same three, held and in our time.

        Raises ``ValueError`` for samples at other times than those that were asked for.
        """
        times = times + self.offset
        if not len(self.times) or not len(times):
            if len(times):
                raise ValueError("samples that were not asked for")
            return times, values, lengths
        at = np.searchsorted(self.times, times)
        if (self.times[np.minimum(at, len(self.times) - 1)] != times).any():
            raise ValueError("samples at other times than those that were asked for")
        if len(self.times) * self.step == self.edges[-1] - self.edges[0] and (self.times == self.edges[:-1]).all():
            return times, values, lengths  # each value stands for the row at its own time
        counts = (self.edges[at + 1] - self.edges[at]) // self.step
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        series = np.repeat(np.arange(len(lengths)), lengths)
        held = np.bincount(series, weights=counts, minlength=len(lengths)).astype(np.int64)
        return np.repeat(self.edges[at], counts) + within * self.step, np.repeat(values, counts), held


def schedule(query: Query, request: ReadRequest) -> Schedule:
    """The points that the rows of ``request`` need. Raises :class:`SourceError` for steps that cannot be asked."""
    spacing = _whole(request.step if query.step is None else query.step, "step", query)
    step, offset = _whole(request.step, "step", query), _whole(query.offset, "offset", query)
    first, last, _ = (number // _NS for number in grid_ns(request))
    if spacing % step:
        message = f"its step of {format_duration(pd.Timedelta(spacing, 'ms'))} is no multiple of the request's"
        raise _refused(query, message)
    if first >= last:
        return Schedule(np.empty(0, np.int64), np.empty(0, np.int64), offset, spacing, step)
    if query.tz is None:
        bounds = np.arange(first // spacing * spacing, last + spacing, spacing, dtype=np.int64)
    elif spacing % _DAY:
        raise _refused(query, "`tz` needs a step of whole days, like 1d")
    else:
        bounds = _midnights(query.tz, first, last, spacing // _DAY)
    bounds = bounds[np.searchsorted(bounds, first, "right") - 1 : np.searchsorted(bounds, last) + 1]
    edges = np.clip(-(-bounds // step) * step, first, last)
    return Schedule(bounds[:-1], edges, offset, spacing, step)


def _midnights(zone: str, first: int, last: int, days: int) -> np.ndarray:
    """Each ``days``-th midnight of the zone, counted from 1970-01-01, from before ``first`` to after ``last``."""
    # No zone is further than a day from UTC.
    numbers = np.arange((first // _DAY - 1) // days * days, last // _DAY + 2 + days, days)
    dates = pd.DatetimeIndex(numbers.astype("datetime64[D]").astype("datetime64[ms]"))
    # A midnight that the clocks skip is the moment at which the day begins; of one that comes twice, the first.
    local = dates.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(dates), bool))
    there = local.tz_localize(None).normalize() == dates  # a zone that changes sides of the date line skips a day
    return np.asarray(local[there].as_unit("ns").asi8 // _NS)


def _whole(span: pd.Timedelta, key: str, query: Query) -> int:
    ns = span.as_unit("ns").value
    if ns % _NS:
        raise _refused(query, f"its {key} must be whole milliseconds, not {span}")
    return int(ns // _NS)


def _refused(query: Query, why: str) -> SourceError:
    return SourceError(f"the query {query.name!r} cannot be asked: {why}", reason="bad_request", recoverable=False)
