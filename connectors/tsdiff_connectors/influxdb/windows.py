"""Which time to ask the source for, and which rows its answer belongs to.

All times are int64 nanoseconds since the epoch. A *window* is the span that one value stands for: as long as the
monitor's step, or as the query's own. A row of the step's length holds the window that begins with it. Where a query's
``step`` is coarser, a row holds the last window that was over when the row began: that much is known at that time, so
a live run sees what a backtest sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from tsdiff_connectors.reading.grouping import grid_ns
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest

__all__ = ["Span", "WindowPlan", "make_plan"]

_DAY = 86_400_000_000_000

Span = tuple[int, int]
"""``start <= t < stop``, both at borders of windows."""


@dataclass(frozen=True)
class WindowPlan:
    """Windows of one query, and the rows that they become."""

    window_ns: int
    zone: str | None
    coarse: bool
    offset_ns: int
    rows_ns: np.ndarray
    spans: tuple[Span, ...]
    lookback: int = 0

    def asked(self, span: Span) -> Span:
        """The span to ask for so that the rows of ``span`` are right: queries may look back on earlier windows."""
        start, stop = span
        for _ in range(self.lookback):
            start = int(self.floor(np.array([start - self.window_ns // 2]))[0])
        return start, stop

    def floor(self, times: np.ndarray) -> np.ndarray:
        """The start of the window that each time lies in."""
        if self.zone is None:
            return np.asarray(times - times % self.window_ns)
        local = pd.DatetimeIndex(times, tz="UTC").as_unit("ns").tz_convert(self.zone).tz_localize(None).normalize()
        first = np.ones(len(local), dtype=bool)  # of a midnight that comes twice the first begins the day
        days = local.tz_localize(ZoneInfo(self.zone), ambiguous=first, nonexistent="shift_forward")
        return np.asarray(days.as_unit("ns").asi8)

    def after(self, starts: np.ndarray) -> np.ndarray:
        """The ends of the windows that begin at ``starts``; a local day may last 23 or 25 hours."""
        if self.zone is None:
            return np.asarray(starts + self.window_ns)
        return self.floor(starts + 3 * _DAY // 2)

    def placed(self, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the samples (times ascending) on the request's grid."""
        if not self.coarse:
            return times + self.offset_ns, values
        starts = self.floor(times)
        newest = np.append(starts[1:] != starts[:-1], True)[: len(starts)]
        ends, values = self.after(starts[newest]), values[newest]
        wanted = self.floor(self.rows_ns - self.offset_ns)
        at = np.searchsorted(ends, wanted)
        there = at < len(ends)
        there[there] = ends[at[there]] == wanted[there]
        return self.rows_ns[there], values[at[there]]


def make_plan(
    query: Query, request: ReadRequest, *, now_ns: int, source: str, before: int = 0, lookback: int = 0
) -> WindowPlan:
    """The windows that ``query`` is to be asked for, none of which is still going on at ``now_ns``.

    ``before`` windows more are wanted before the first, and each span is asked for with ``lookback`` windows more,
    whose rows are thrown away. Spans hold at most ``query.max_points_per_query`` windows. Raises
    :class:`SourceError` for a ``step`` or ``tz`` that cannot be.
    """
    first, last, step = grid_ns(request)
    window = step if query.step is None else query.step.as_unit("ns").value
    if window % step:
        raise _impossible(source, query, f"its step must be a multiple of the monitor's, {request.step}")
    if query.tz is not None and window != _DAY:
        raise _impossible(source, query, "`tz` is for a step of one day; set `step: 1d`, or remove `tz`")
    offset = query.offset.as_unit("ns").value
    coarse = window != step or query.tz is not None
    rows = np.arange(first, last, step, dtype=np.int64)
    plan = WindowPlan(window, query.tz, coarse, offset, rows, ())
    if not len(rows):
        return plan
    start = _floor(plan, first - offset)
    stop = _floor(plan, last - step - offset) if coarse else _ceil(plan, last - offset)
    for _ in range(before + coarse):
        start = _floor(plan, start - window // 2)
    stop = min(stop, _floor(plan, now_ns))
    return replace(plan, spans=tuple(_spans(plan, start, stop, query.max_points_per_query)), lookback=lookback)


def _spans(plan: WindowPlan, start: int, stop: int, most: int | None) -> list[Span]:
    spans: list[Span] = []
    while start < stop:
        end = stop if most is None else min(stop, _floor(plan, start + most * plan.window_ns + plan.window_ns // 2))
        spans.append((start, end))
        start = end
    return spans


def _floor(plan: WindowPlan, time: int) -> int:
    return int(plan.floor(np.array([time], dtype=np.int64))[0])


def _ceil(plan: WindowPlan, time: int) -> int:
    floor = _floor(plan, time)
    return floor if floor == time else int(plan.after(np.array([floor]))[0])


def _impossible(source: str, query: Query, problem: str) -> SourceError:
    return SourceError(f"{source}: the query {query.name!r}: {problem}", reason="bad_request", recoverable=False)
