"""The way of a sample, from the reader to the store, for one monitor.

reader → frame → detector (score, expected, attribution) → event logic → writers → store, in one transaction with the
deliveries that are due. ``run``, ``once`` and ``backtest`` all come through here; they differ only in where the clock
and the frames come from. A group's own part of the way is in :mod:`tsdiff_monitor.pipeline.score`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.registry import fit_detector
from tsdiff_monitor.errors import SourceError, TsdiffError
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.grouping import called
from tsdiff_monitor.models.repository import ModelStore, fingerprint
from tsdiff_monitor.pipeline.absence import track_absences
from tsdiff_monitor.pipeline.cold_start import ColdStart
from tsdiff_monitor.pipeline.detectors import group_detectors
from tsdiff_monitor.pipeline.results import FitResult, TickResult
from tsdiff_monitor.pipeline.score import data_ranges, score_groups
from tsdiff_monitor.pipeline.shared_fit import shared_network
from tsdiff_monitor.plugins import Reader, Reading, ReadRequest, Writer
from tsdiff_monitor.scoring.rules import outside
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.frame import Frame, Group, floor_time, group_name
from tsdiff_monitor.timeseries.selection import any_since, masked, trimmed, without

__all__ = ["FitResult", "Pipeline", "TickResult"]
_BUGS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What a bug raises, but not what a caller of a fit may raise in ``progress`` to give it up."""


@dataclass(frozen=True)
class Pipeline:
    """One monitor at work. Holds no state of its own: that is in the store, so a crash at any point resumes."""

    name: str
    monitor: MonitorConfig
    model: ModelConfig
    scheduler: SchedulerConfig
    reader: Reader
    store: Store
    models: ModelStore
    writers: Mapping[str, Writer] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    max_catchup: timedelta = timedelta(days=1)

    @property
    def step(self) -> pd.Timedelta:
        return pd.Timedelta(self.monitor.step)

    @property
    def offset(self) -> pd.Timedelta:
        """How far behind the present rows are read."""
        return pd.Timedelta(self.scheduler.offset)

    def request(self, start: pd.Timestamp, end: pd.Timestamp) -> ReadRequest:
        """The monitor's queries over ``start <= t < end``."""
        queries = tuple(query.asked(name) for name, query in self.monitor.queries.items())
        return ReadRequest(queries, start, end, self.step, tuple(self.monitor.groupby))

    def fit(
        self,
        end: pd.Timestamp,
        *,
        start: pd.Timestamp | None = None,
        spans: Mapping[Group, tuple[pd.Timestamp, pd.Timestamp]] | None = None,
        only_missing: bool = False,
        progress: Callable[[Group, int, int], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> FitResult:
        """Fit every group on ``start <= t < end`` (the model's ``fit_window`` when left out) and store the models.

        ``spans`` narrows the time of single groups, ``only_missing`` leaves out those with a model that can be used.
        Rows inside known events are hidden from the fit, so that an incident is not learned as normal. A group that
        cannot be fit is reported, and keeps its old model; so do all when the network they share cannot be fit. Raises
        ``SourceError`` when the source cannot answer.
        """
        began = clock()
        end = floor_time(end, self.step)
        start = end - pd.Timedelta(self.model.fit_window) if start is None else start
        reading = self.read(self.request(floor_time(start, self.step), end))
        result = FitResult(warnings=reading.warnings)
        confirm_rows = self.monitor.events.confirm_rows
        usable = {group for group in reading.frames if only_missing and self.models.is_usable(self.name, group)}
        missing = [group for group in reading.frames if group not in usable]
        result.current.extend(group for group in reading.frames if group in usable)

        def history(group: Group) -> Frame:
            whole = reading.frames[group]
            return self.history(group, whole.between(*spans[group]) if spans and group in spans else whole)

        base = None
        if missing:
            try:
                base = shared_network(
                    self, reading.frames, history, only_missing=only_missing, progress=progress, clock=clock
                )
            except TsdiffError as error:
                result.errors.extend((group_name(group), error) for group in missing)
                missing = []
        for group in missing:
            frame = history(group)
            mark = fingerprint(frame, self.model, confirm_rows, base)
            if self.models.is_current(self.name, group, mark):
                result.current.append(group)
                continue
            try:
                detector = fit_detector(
                    frame,
                    self.model,
                    base=base,
                    confirm_rows=confirm_rows,
                    progress=lambda done, total, group=group: progress(group, done, total),  # type: ignore[misc]
                    clock=clock,
                )
                self.models.put(self.name, group, detector, mark)
            except TsdiffError as error:
                result.errors.append((group_name(group), error))
                continue
            except _BUGS as error:
                result.errors.append((group_name(group), unexpected(error, monitor=self.name, group=group_name(group))))
                continue
            result.fitted.append(group)
        result.seconds = clock() - began
        return result

    def tick(
        self,
        now: pd.Timestamp,
        *,
        since: pd.Timestamp | None = None,
        since_by_group: Mapping[Group, pd.Timestamp] | None = None,
        groups: Collection[Group] | None = None,
        cold_start: bool = False,
        absent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> TickResult:
        """Score every row not scored yet that is older than ``now`` less the scheduler's offset.

        A group never scored begins at ``since``, by default one ``infer_every`` ago. Missed rows are caught up, at most
        ``max_catchup`` back unless ``since`` is given. Only ``groups`` are scored, by default all that have a model,
        with ``cold_start`` also those for which something can stand in until they have one; the monitor's allowance of
        alarms is split over them, by default over all that the source has now. Raises ``SourceError`` when the source
        cannot answer: no verdict is made from that. With ``absent``, groups that stopped reporting have events too.
        """
        end = floor_time(now - self.offset, self.step)
        oldest = end - pd.Timedelta(self.max_catchup) if since is None else floor_time(since, self.step)
        due = self._due(oldest)
        cold = self._cold_start() if cold_start else None
        context = self.step * max(self.model.window, 0 if cold is None else cold.config.window)
        # A group that went away must not make every later tick read back to its last row: the others say what to read.
        recent = max(due.values(), default=oldest) - context
        starts = [time for time in due.values() if time >= recent]
        if since is None:
            starts.append(end - max(pd.Timedelta(self.scheduler.infer_every), self.step))
        start = max(min(starts, default=oldest), oldest)
        if start >= end:
            return TickResult()
        reading = self.read(self.request(start - context, end))
        frames, warnings = dict(reading.frames), reading.warnings
        back = {
            group for group, time in due.items() if time < start and group in frames and any_since(frames[group], time)
        }
        if back:
            again = self.read(self.request(min(due[group] for group in back) - context, end))
            frames |= {group: frame for group, frame in again.frames.items() if group in back}
            warnings = tuple(dict.fromkeys(warnings + again.warnings))
        result = TickResult(warnings=warnings, scored_until=end)
        share = self.monitor.alarms_per_week / max(len(frames if groups is None else groups), 1)
        result.without_model.extend(group for group in frames if groups is not None and group not in groups)
        firsts = {
            group: due.get(group, max((since_by_group or {}).get(group, start), start))
            for group in frames
            if group not in result.without_model
        }
        detectors = group_detectors(self, cold, firsts, frames, result, clock)
        score_groups(self, detectors, frames, firsts, share, result, clock)
        if absent:
            track_absences(self, end, result)
        return result

    def history(self, group: Group, frame: Frame) -> Frame:
        """What is to be learnt from: without rows inside known events or times of the calendar, values that cannot be
        right, and empty ends. Of an event that ended because its level became normal, the rows at that level are kept,
        unless somebody called it real.

        The metrics come sorted, so that what is learnt does not depend on the order in which the source gave them.
        """
        frame = frame.select(sorted(frame.names))
        calendar = covered(self.monitor.calendar.values(), group, frame.times, "quiet", "exclude")
        frame = masked(frame, outside(data_ranges(self.monitor, frame.series), frame.values) | calendar[:, None])
        events = self.store.events(monitor=self.name, start=frame.start, end=frame.end)
        known = called(self.store.feedback(self.name), events)
        unlearned = [one for one in events if one.group == group and (one.id not in known or known[one.id].is_incident)]
        spans = [(one.start, one.end if one.id in known else one.adapted_from or one.end) for one in unlearned]
        return trimmed(without(frame, spans))

    def read(self, request: ReadRequest) -> Reading:
        """Ask the source. Raises ``SourceError`` when it cannot answer, or leaves something out."""
        reading = self.reader.read(request)
        if reading.partial:
            raise SourceError(
                f"monitor {self.name}: the source gave only part of an answer "
                f"({'; '.join(reading.warnings) or 'it does not say why'}); no score is made from it",
                reason="partial",
            )
        return reading

    def _cold_start(self) -> ColdStart | None:
        if isinstance(self.model, DiffusionModelConfig) and (self.model.shared or self.model.cold_start != "none"):
            return ColdStart(self, self.model)
        return None

    def _due(self, oldest: pd.Timestamp) -> dict[Group, pd.Timestamp]:
        """Where each group that has been scored before goes on, not before ``oldest``."""
        last = self.store.last_scored(self.name)
        return {group: max(time + self.step, oldest) for group, time in last.items()}
