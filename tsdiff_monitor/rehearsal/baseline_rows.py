"""The recent normal rows that anomalies are injected into, for each group, and the model that scores them.

Normal are rows outside the events that the daemon knows of, the incidents that the source labels and the times of the
monitor's calendar.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import DamagedModelError, DataError, ModelError, SourceError, TsdiffError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Extent, History, Reader, Reading, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, floor_time, group_name
from tsdiff_monitor.timeseries.selection import mask_spans

__all__ = ["ROWS", "HistorySlice", "Survey", "fitted", "survey"]

ROWS = 2000
"""Normal rows that incidents are put into; more take longer and change little."""
_LOOK_BACK = 3 * ROWS
"""Rows read at most: where events and gaps leave fewer normal ones, these are used."""


@dataclass(frozen=True, eq=False)
class HistorySlice:
    """One group's normal rows, those in between missing: the rows of ``frame`` from ``first`` on, earlier ones being
    context. ``fit_span`` is what a model is fit on if there is none."""

    group: Group
    frame: Frame
    first: int
    fit_span: tuple[pd.Timestamp, pd.Timestamp]

    @property
    def start(self) -> pd.Timestamp:
        return self.frame.start + self.frame.step * self.first


@dataclass(frozen=True)
class Survey:
    """The histories of the groups to rehearse, the number of all groups, and the warnings of the source."""

    histories: tuple[HistorySlice, ...]
    known_groups: int
    warnings: tuple[str, ...] = ()


def survey(pipeline: Pipeline, groups: int, end: pd.Timestamp | None, now: pd.Timestamp) -> Survey:
    """The first ``groups`` groups of the source, by their labels, with their newest normal rows before ``end``.

    Left out, ``end`` is where the source's data ends, or the present. Raises :class:`SourceError` when the source
    cannot answer, and :class:`DataError` when it has nothing there.
    """
    known = pipeline.reader.extents(tuple(pipeline.monitor.groupby)) if isinstance(pipeline.reader, History) else {}
    latest = max((extent.end for extent in known.values()), default=now - pipeline.offset)
    end = floor_time(latest if end is None else end, pipeline.step)
    start = end - pipeline.step * _LOOK_BACK
    request = pipeline.request(start, end)
    reading = pipeline.read(request)
    if not any(frame.observed.any() for frame in reading.frames.values()):
        raise DataError(
            f"the source has no data from {start.isoformat()} to {end.isoformat()}; correct the queries, or give --end"
        )
    chosen = sorted(reading.frames)[:groups]
    labelled = pipeline.reader.incidents(request) if isinstance(pipeline.reader, History) else None
    spans: dict[Group, list[tuple[pd.Timestamp, pd.Timestamp | None]]] = {}
    for incident in labelled or ():
        spans.setdefault(incident.group, []).append((incident.start, incident.end))
    histories = []
    for group in chosen:
        normal = mask_spans(reading.frames[group], spans.get(group, []))
        histories.append(_slice(pipeline, group, pipeline.history(group, normal), known.get(group)))
    return Survey(tuple(histories), len(reading.frames), reading.warnings)


def _slice(pipeline: Pipeline, group: Group, frame: Frame, extent: Extent | None) -> HistorySlice:
    """The newest rows: half of what there is at most, where the other half has to be fit on."""
    normal: np.ndarray = np.asarray(frame.observed.any(1))
    total, lowest = int(normal.sum()), 0
    if extent is not None and extent.fit_end <= extent.start < frame.end:
        lowest, wanted = max(frame.row(extent.start), 0), min(ROWS, total)
    else:
        extent, wanted = None, min(ROWS, total // 2)
    from_here_on = np.cumsum(normal[::-1])[::-1]
    first = max(int(np.flatnonzero(from_here_on >= wanted)[-1]), lowest) if wanted else len(frame)
    start = frame.start + frame.step * first
    fit_start = start - pd.Timedelta(pipeline.model.fit_window)
    return HistorySlice(
        group, frame, first, (fit_start, start) if extent is None else (extent.fit_start, extent.fit_end)
    )


class _Only:
    """A reader for some groups alone, so that no others are fit or held in memory."""

    def __init__(self, reader: Reader, groups: set[Group]) -> None:
        self._reader = reader
        self._groups = groups

    def read(self, request: ReadRequest) -> Reading:
        reading = self._reader.read(request)
        frames = {group: frame for group, frame in reading.frames.items() if group in self._groups}
        return dataclasses.replace(reading, frames=frames)


def fitted(
    pipeline: Pipeline,
    stored: ModelStore,
    histories: tuple[HistorySlice, ...],
    *,
    progress: Callable[[str, float, float], None] = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Mapping[Group, tuple[Detector, str]], list[tuple[str, TsdiffError]]]:
    """Each group's model and where it is from: the daemon's, else one fit on the history before the group's history,
    which the pipeline's own store keeps. Also what failed, by group.
    """
    models: dict[Group, tuple[Detector, str]] = {}
    for history in histories:
        try:
            models[history.group] = (stored.get(pipeline.name, history.group), "stored")
        except ModelError:
            continue
    missing = {history.group: history.fit_span for history in histories if history.group not in models}
    if not missing:
        return models, []
    try:
        result = dataclasses.replace(pipeline, reader=_Only(pipeline.reader, set(missing))).fit(
            max(end for _, end in missing.values()) + pipeline.offset,
            start=min(start for start, _ in missing.values()),
            spans=missing,
            progress=lambda group, done, total: progress(f"fitting {group_name(group)}", done, total),
            clock=clock,
        )
    except SourceError as error:
        return models, [(group_name(group), error) for group in missing]
    errors = list(result.errors)
    for group in (*result.fitted, *result.current):
        try:
            models[group] = (pipeline.models.get(pipeline.name, group), "fit for this")
        except DamagedModelError as error:
            errors.append((group_name(group), error))
    reported = {where for where, _ in errors}
    for group, (start, end) in missing.items():
        if group not in models and group_name(group) not in reported:
            span = f"{start.isoformat()} to {end.isoformat()}"
            text = f"there is no model of it yet, and the source has nothing to fit one on from {span}"
            errors.append((group_name(group), DataError(f"{text}; run `tsdiff-monitor fit` first")))
    return models, errors
