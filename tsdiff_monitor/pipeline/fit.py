"""One fit of a monitor: histories are read, masked, fit and stored, group by group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.events.calendars import read_calendars
from tsdiff_monitor.models.repository import ModelStore, fingerprint
from tsdiff_monitor.pipeline.fitting import FitTask, Fitted, Fitter, Progress
from tsdiff_monitor.pipeline.history import stored_history
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.read import read_whole
from tsdiff_monitor.pipeline.results import FitResult
from tsdiff_monitor.pipeline.score import Failed
from tsdiff_monitor.pipeline.shared_fit import shared_network, stored_network
from tsdiff_monitor.plugins import GroupSelector, Reader, Reading
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Frame, Group, floor_time, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["fit_monitor"]

_AT_ONCE = 64
"""Groups whose histories are read at once where the source can be asked for some of them: bounds memory."""


def fit_monitor(
    monitor: Monitor,
    *,
    reader: Reader,
    models: ModelStore,
    store: Store,
    fitter: Fitter,
    now: pd.Timestamp,
    start: pd.Timestamp | None = None,
    spans: Mapping[Group, tuple[pd.Timestamp, pd.Timestamp]] | None = None,
    only_missing: bool = False,
    progress: Progress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> FitResult:
    """Fit every group on rows from ``start`` on (a ``fit_window`` when left out) and store the models.

    As in a tick, the rows end at ``now`` less the scheduler's offset: newer ones are incomplete, and not learned.
    ``spans`` narrows the time of single groups, ``only_missing`` leaves out those with a model that can be used. Rows
    inside known events are hidden from the fit, so that an incident is not learned as normal. A group that cannot be
    fit is reported, and keeps its old model; so do all when the network they share cannot be fit. Raises
    ``SourceError`` when the source cannot answer. To give the fit up, ``progress`` may raise a ``BaseException`` that
    is no ``Exception``; any other counts as an error of its group.
    """
    began = clock()
    end = floor_time(now - monitor.offset, monitor.step)
    first = floor_time(end - pd.Timedelta(monitor.model.fit_window) if start is None else start, monitor.step)
    fit = _Fit(monitor, models, store, spans or {}, only_missing)
    fit.result.calendar_errors = read_calendars(monitor.config.calendar.values())
    in_parts = start is None  # a fit from a time on may go back to before the groups known now
    for reading in _readings(monitor, reader, store, first, end, in_parts=in_parts):
        fit.result.warnings = tuple(dict.fromkeys((*fit.result.warnings, *reading.warnings)))
        frames = dict(reading.frames)
        del reading  # it holds all rows, of which each group's shall go once it is fit
        for outcome in fitter.fit(fit.tasks(frames, progress, clock), progress=progress, clock=clock):
            fit.take(outcome)
    fit.result.seconds = clock() - began
    return fit.result


@dataclass
class _Fit:
    """A fit under way."""

    monitor: Monitor
    models: ModelStore
    store: Store
    spans: Mapping[Group, tuple[pd.Timestamp, pd.Timestamp]]
    only_missing: bool
    result: FitResult = field(default_factory=FitResult)

    def tasks(self, frames: dict[Group, Frame], progress: Progress, clock: Callable[[], float]) -> Iterator[FitTask]:
        """The fits to do on what was read; a group's rows are let go of once its task is made."""
        monitor, result = self.monitor, self.result
        usable = {group for group in frames if self.only_missing and self.models.is_usable(monitor.name, group)}
        result.current.extend(group for group in frames if group in usable)
        missing = [group for group in frames if group not in usable]
        histories: dict[Group, Frame] = {}
        base = stored_network(monitor, self.models) if self.only_missing and missing else None
        if missing and base is None and _shares(monitor):
            try:
                histories = {group: self._history(group, frames.pop(group)) for group in list(frames)}
                base = shared_network(monitor, self.models, histories, progress=progress, clock=clock)
            except Exception as error:  # a bug in the network they share must not end the fit without a report
                known = known_error(error, monitor=monitor.name)
                result.errors.extend((group_name(group), known) for group in missing)
                return
        for group in usable:  # only the shared network needed them
            frames.pop(group, None)
            histories.pop(group, None)
        for group in missing:
            try:
                history = histories.pop(group) if group in histories else self._history(group, frames.pop(group))
                task = self._task(group, history, base)
            except Exception as error:  # a bug in one group must not stop the others
                self._fail(group, error)
                continue
            if self.models.is_current(monitor.name, group, task.mark):
                result.current.append(group)
            else:
                yield task

    def take(self, outcome: Fitted | Failed) -> None:
        """Store what was fit."""
        if isinstance(outcome, Failed):
            self.result.errors.append((group_name(outcome.group), outcome.error))
            return
        task = outcome.task
        try:
            self.models.put(self.monitor.name, task.group, outcome.detector, task.mark)
        except Exception as error:  # a disk that is full for one group must not stop the others
            self._fail(task.group, error)
        else:
            self.result.fitted.append(task.group)

    def _history(self, group: Group, frame: Frame) -> Frame:
        rows = frame.between(*self.spans[group]) if group in self.spans else frame
        return stored_history(self.monitor, self.store, group, rows)

    def _task(self, group: Group, history: Frame, base: SharedNetwork | None) -> FitTask:
        confirm_rows = self.monitor.config.events.confirm_rows
        mark = fingerprint(history, self.monitor.model, confirm_rows, base)
        return FitTask(self.monitor.name, group, history, self.monitor.model, confirm_rows, base, mark)

    def _fail(self, group: Group, error: Exception) -> None:
        where = group_name(group)
        self.result.errors.append((where, known_error(error, monitor=self.monitor.name, group=where)))


def _shares(monitor: Monitor) -> bool:
    """True where the groups share a network, which is fit on all of them together."""
    return isinstance(monitor.model, DiffusionModelConfig) and monitor.model.shared


def _readings(
    monitor: Monitor, reader: Reader, store: Store, start: pd.Timestamp, end: pd.Timestamp, *, in_parts: bool
) -> Iterator[Reading]:
    """All rows at once, or of some groups at a time where that may be and the source can be asked for them.

    The groups are then those that the store knows and those that have reported of late.
    """
    if in_parts and not _shares(monitor) and isinstance(reader, GroupSelector) and reader.selects_groups:
        recent = read_whole(reader, monitor.name, monitor.request(end - monitor.step * monitor.model.window, end))
        known = sorted({*store.groups(monitor.name), *recent.frames})
        del recent
        # some readers know only once asked whether they can leave groups out
        if reader.selects_groups and len(known) > _AT_ONCE:
            for at in range(0, len(known), _AT_ONCE):
                yield read_whole(reader, monitor.name, monitor.request(start, end, known[at : at + _AT_ONCE]))
            return
    yield read_whole(reader, monitor.name, monitor.request(start, end))
