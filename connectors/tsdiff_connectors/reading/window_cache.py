"""Keeps the window that a monitor read last, so that each tick asks the source for the newest rows alone."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_connectors.reading.grouping import grid_ns
from tsdiff_monitor.plugins import Query, Reading, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

__all__ = ["WindowCache"]

_Key = tuple[tuple[Query, ...], tuple[str, ...], int]

_LATE_ROWS = 15
"""A series whose newest values are missing for longer than this, while others have theirs, is taken to have ended."""


@dataclass(frozen=True)
class _Window:
    """Every row ``first <= t < last`` (nanoseconds) of one key, as the source answered it."""

    first: int
    last: int
    step: int
    frames: Mapping[Group, Frame]

    @property
    def cells(self) -> int:
        return sum(frame.values.size for frame in self.frames.values())

    @property
    def missing(self) -> int:
        """Number of rows at the end that lack values that may still come."""
        if not self.frames:
            return (self.last - self.first) // self.step
        gaps = np.concatenate([frame.observed[::-1].argmax(axis=0) for frame in self.frames.values()])
        return int(gaps[gaps <= gaps.min() + _LATE_ROWS].max())


class WindowCache:
    """The last window of each combination of queries, ``groupby`` and step. Safe to share between threads.

    A request that goes on where the last one ended is answered from both: rows that are kept, and the rows after them
    from the source, with the last ``reread`` kept rows once more, since late samples may have changed them. Rows whose
    values have not come yet are asked for again until they have: all of them where the whole source is late, 15 rows
    where single series are. Any other request goes to the source whole. What a source said under a warning, or in part,
    is passed on but not kept, and so is the answer to a request for some groups only, which goes to the source whole.
    ``max_cells`` bounds what is kept over all windows; the one that was not used for longest goes first.
    """

    def __init__(self, *, reread: int = 2, max_cells: int = 20_000_000) -> None:
        if reread < 0 or max_cells < 0:
            raise ValueError("neither `reread` nor `max_cells` may be negative")
        self._reread = reread
        self._max_cells = max_cells
        self._windows: OrderedDict[_Key, _Window] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def cells(self) -> int:
        """Number of cells (rows x series) kept now."""
        with self._lock:
            return sum(window.cells for window in self._windows.values())

    def read(self, request: ReadRequest, fetch: Callable[[ReadRequest], Reading]) -> Reading:
        """The answer of ``fetch(request)``, asking it for as little as may be. Its errors pass through.

        ``fetch`` must answer frames of the whole span that it is asked for, without series that have no value in it,
        their columns in the order of the queries and then of their names (as
        :func:`~tsdiff_connectors.reading.grouping.to_frames` makes them).
        """
        if request.groups is not None:
            return fetch(request)  # some groups' rows say nothing of the others'
        first, last, step = grid_ns(request)
        key = (request.queries, tuple(sorted(request.groupby)), step)
        with self._lock:
            kept = self._windows.get(key)
        since = first if kept is None else kept.last - (kept.missing + self._reread) * step
        if kept is None or not (kept.first <= first < since and kept.last <= last):
            reading = fetch(request)
            frames = reading.frames
        else:
            reading = fetch(dataclasses.replace(request, start=pd.Timestamp(since, tz="UTC")))
            frames = _joined(kept.frames, reading.frames, request, (first, since, last))
        if not reading.warnings and not reading.partial:
            self._keep(key, _Window(first, last, step, frames))
        return dataclasses.replace(reading, frames=frames)

    def _keep(self, key: _Key, window: _Window) -> None:
        cells = window.cells
        with self._lock:
            before = self._windows.get(key)
            if cells > self._max_cells or (before is not None and before.last > window.last):
                return  # an older span (of a fit or a catch-up) must not push out what the next tick goes on from
            self._windows[key] = window
            self._windows.move_to_end(key)
            held = sum(one.cells for one in self._windows.values())
            while held > self._max_cells:
                _, oldest = self._windows.popitem(last=False)
                held -= oldest.cells


def _joined(
    old: Mapping[Group, Frame], new: Mapping[Group, Frame], request: ReadRequest, span: tuple[int, int, int]
) -> dict[Group, Frame]:
    """Rows ``first <= t < since`` of ``old`` and ``since <= t < last`` of ``new``."""
    first, since, last = span
    step = request.step.as_unit("ns").value
    start = pd.Timestamp(first, tz="UTC")
    rows, head = (last - first) // step, (since - first) // step
    frames = {}
    for group in sorted(old.keys() | new.keys()):
        parts = [part for part in (old.get(group), new.get(group)) if part is not None]
        series = parts[0].series if parts[0].series == parts[-1].series else _union(parts, request.queries)
        values = np.full((rows, len(series)), np.nan, dtype=np.float32)
        if group in old:
            skipped = (first - old[group].start.value) // step
            block = old[group].values[skipped : skipped + head]
            values[:head, _columns(series, old[group])] = block
        if group in new:
            values[head:, _columns(series, new[group])] = new[group].values
        there = np.asarray(~np.isnan(values).all(axis=0))  # what was left behind with the oldest rows is absent now
        if there.all():
            frames[group] = Frame(start, request.step, values, series)
        elif there.any():
            kept = tuple(one for one, held in zip(series, there, strict=True) if held)
            frames[group] = Frame(start, request.step, values[:, there], kept)
    return frames


def _union(parts: list[Frame], queries: tuple[Query, ...]) -> tuple[Series, ...]:
    rank = {query.name: at for at, query in enumerate(queries)}
    found = {one.name: one for part in parts for one in part.series}
    return tuple(sorted(found.values(), key=lambda one: (rank[one.query], one.name)))


def _columns(series: tuple[Series, ...], frame: Frame) -> slice | list[int]:
    if series is frame.series or series == frame.series:
        return slice(None)
    at = {one.name: k for k, one in enumerate(series)}
    return [at[name] for name in frame.names]
