"""The reader: rows of the simulated fleet on the grid of a request, and the labels of its incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from tsdiff_connectors.simulator.config import SimulatorConfig
from tsdiff_connectors.simulator.fleet import Fleet
from tsdiff_connectors.simulator.incidents import Occurrence, effects, milliseconds, occurrences, reached
from tsdiff_connectors.simulator.noise import Noise
from tsdiff_connectors.simulator.physics import simulate
from tsdiff_connectors.simulator.selection import Column, select
from tsdiff_monitor import plugins
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["SimulatorReader"]

_BLOCK = 64
"""Rows are computed in whole blocks of the absolute grid: vectorised arithmetic then rounds a row in the same way
whichever span it is read in, as the ends of an array may take another code path than its middle."""
_CHUNK = 256 * _BLOCK
"""Rows computed at once, which bounds memory."""


class SimulatorReader:
    """A fleet of services as a source. Stateless: a value depends only on the configuration, series and time."""

    Config: ClassVar = SimulatorConfig

    def __init__(self, config: SimulatorConfig, context: plugins.Context) -> None:
        self._config = config
        self._name = context.name
        self._fleet = Fleet(config.services)
        self._step_ms = milliseconds(config.step)

    def read(self, request: plugins.ReadRequest) -> plugins.Reading:
        """Rows of every group, each the mean over the fleet's own steps that begin within it.

        Raises :class:`SourceError` (not recoverable) for a step that is not a multiple of the configured one
        (``bad_step``), and for a query or a label that fits nothing (``bad_query``).
        """
        per_row = self._per_row(request)
        step_ms = per_row * self._step_ms
        groups = self._selected(request)
        columns = [column for group in groups.values() for column in group]
        first, last = _grid(request.start, step_ms), _grid(request.end, step_ms)
        values = np.empty((max(last - first, 0), len(columns)), dtype=np.float32)
        rows_at_once = max(_CHUNK // per_row, 1)
        for row in range(first, last, rows_at_once):
            until = min(row + rows_at_once, last)
            cells = self._cells(row * per_row, until * per_row, columns)
            values[row - first : until - first] = _means(cells, per_row)
        start = pd.Timestamp(first * step_ms, unit="ms", tz="UTC")
        frames, k = {}, 0
        for group, members in groups.items():
            series = tuple(column.series for column in members)
            frames[group] = Frame(start, request.step, values[:, k : k + len(members)], series)
            k += len(members)
        return plugins.Reading(frames)

    def extents(self, groupby: tuple[str, ...]) -> dict[Group, plugins.Extent]:
        """For every group the history, which is free of incidents, and the replayed span after it."""
        start = pd.Timestamp(self._config.start).tz_convert("UTC")
        turn = start + pd.Timedelta(self._config.history)
        extent = plugins.Extent(start, turn, turn, turn + pd.Timedelta(self._config.replay))
        return dict.fromkeys(select(self._fleet, (plugins.Query("all", "*"),), groupby), extent)

    def incidents(self, request: plugins.ReadRequest) -> tuple[plugins.LabelledSpan, ...]:
        """The incidents that touch the request's span, once per group that one of them visibly reaches.

        Starts are rounded down to the request's rows, and both ends clipped to its span. In the group of an incident's
        own service the culprits are the metrics at its source; in others, the metrics by which it is visible there. An
        incident that shows in none of the selected series is left out. Raises as :meth:`read`.
        """
        step_ms = self._per_row(request) * self._step_ms
        groups = self._selected(request)
        found = []
        for one in occurrences(self._config, _ms(request.start), _ms(request.end)):
            metrics = reached(self._fleet, self._config.seed, self._step_ms, one)
            start = max(pd.Timestamp(one.start_ms - one.start_ms % step_ms, unit="ms", tz="UTC"), request.start)
            end = min(pd.Timestamp(one.end_ms, unit="ms", tz="UTC"), request.end)
            for group, columns in groups.items():
                shown = [column for column in columns if column.metric in metrics.get(self._service(column), ())]
                source = [column for column in shown if self._service(column) == one.incident.service]
                if shown:
                    names = tuple(column.series.name for column in source or shown)
                    found.append(plugins.LabelledSpan(group, start, end, one.incident.kind, names))
        return tuple(found)

    def _selected(self, request: plugins.ReadRequest) -> dict[Group, tuple[Column, ...]]:
        """The columns of the groups that are wanted. The fleet is simulated whole: services depend on each other."""
        groups = select(self._fleet, request.queries, request.groupby)
        if request.groups is None:
            return groups
        return {group: columns for group, columns in groups.items() if group in request.groups}

    def _per_row(self, request: plugins.ReadRequest) -> int:
        step_ns, own_ns = request.step.as_unit("ns").value, self._step_ms * 1_000_000
        if step_ns <= 0 or step_ns % own_ns:
            raise SourceError(
                f"simulator: the step {format_duration(request.step.to_pytimedelta())} is not a multiple of the "
                f"fleet's own step of {format_duration(self._config.step)}; "
                f"set the `step` of the reader {self._name!r} to one that divides it",
                reason="bad_step",
                recoverable=False,
            )
        return step_ns // own_ns

    def _service(self, column: Column) -> str:
        return self._fleet.names[column.service]

    def _cells(self, first: int, last: int, columns: Sequence[Column]) -> np.ndarray:
        """The columns at the fleet's own steps ``first <= row < last``, ``[N, K]``; NaN where an incident took them."""
        found = occurrences(self._config, first * self._step_ms, last * self._step_ms)
        cells = self._physics(first, last, columns)
        time_ms = np.arange(first, last, dtype=np.int64) * self._step_ms
        for one in (one for one in found if one.incident.metrics):
            hit = np.array(
                [column.metric in one.culprits and self._service(column) == one.incident.service for column in columns]
            )
            if not hit.any():
                continue
            if one.incident.kind == "missing_metric":
                value = np.full((1, len(columns)), np.nan)
            else:
                frozen = -(-one.start_ms // self._step_ms)
                value = self._physics(frozen, frozen + 1, columns)
            cells = np.where(one.active(time_ms)[:, None] & hit, value, cells)
        return cells

    def _physics(self, first: int, last: int, columns: Sequence[Column]) -> np.ndarray:
        block_first, block_last = first // _BLOCK * _BLOCK, -(-last // _BLOCK) * _BLOCK
        time_ms = np.arange(block_first, block_last, dtype=np.int64) * self._step_ms
        found: tuple[Occurrence, ...] = occurrences(
            self._config, block_first * self._step_ms, block_last * self._step_ms
        )
        noise = Noise(self._config.seed, self._fleet.names, time_ms, self._step_ms)
        metrics = simulate(self._fleet, noise, time_ms, effects(self._fleet, found, time_ms, self._step_ms))
        kept = slice(first - block_first, last - block_first)
        cells = [metrics[column.metric][kept, column.service] for column in columns]
        return np.stack(cells, axis=1) if cells else np.empty((last - first, 0))


def _ms(time: pd.Timestamp) -> int:
    return int(time.as_unit("ns").value // 1_000_000)


def _grid(time: pd.Timestamp, step_ms: int) -> int:
    """The number of the first grid row that does not lie before ``time``."""
    return int(-(-time.as_unit("ns").value // (step_ms * 1_000_000)))


def _means(cells: np.ndarray, per_row: int) -> np.ndarray:
    """Means of ``per_row`` consecutive cells, ``[N * per_row, K]`` to ``[N, K]``; of those present where some miss."""
    if per_row == 1:
        return cells
    stacked = cells.reshape(-1, per_row, cells.shape[1])
    present = ~np.isnan(stacked)
    count = present.sum(axis=1)
    total = np.where(present, stacked, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
