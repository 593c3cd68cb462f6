"""The way of a sample, from the reader to the store, for one monitor.

reader → frame → detector (score, expected, attribution) → event logic → writers → store, in one transaction with the
deliveries that are due. ``run``, ``once`` and ``backtest`` all come through here; they differ only in where the clock
and the frames come from.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pandas as pd
import structlog

from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detector import DiffusionDetector
from tsdiff_monitor.errors import ModelError, SchemaMismatchError, SourceError, TsdiffError, WriteError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.frame import Frame, Group, Series, floor_time, group_name
from tsdiff_monitor.plugins import Query, Reader, Reading, ReadRequest, Writer
from tsdiff_monitor.scores import ScoreBatch
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.store.models import ModelStore, fingerprint
from tsdiff_monitor.store.store import Store

__all__ = ["FitResult", "Pipeline", "TickResult"]

log = structlog.get_logger()


@dataclass
class TickResult:
    """What one tick did. ``errors`` are per group (or writer): they stopped that one, not the others."""

    rows: int = 0
    groups: int = 0
    changes: list[EventChange] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)
    without_model: list[Group] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    scored_until: pd.Timestamp | None = None


@dataclass
class FitResult:
    """What one fit did: groups fit, groups whose model was current already, and groups that could not be fit."""

    fitted: list[Group] = field(default_factory=list)
    current: list[Group] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Pipeline:
    """One monitor at work. Holds no state of its own: that is in the store, so a crash at any point resumes."""

    name: str
    monitor: MonitorConfig
    model: DiffusionModelConfig
    scheduler: SchedulerConfig
    reader: Reader
    store: Store
    models: ModelStore
    writers: Mapping[str, Writer] = field(default_factory=dict)
    max_catchup: timedelta = timedelta(days=1)

    @property
    def step(self) -> pd.Timedelta:
        return pd.Timedelta(self.monitor.step)

    def request(self, start: pd.Timestamp, end: pd.Timestamp) -> ReadRequest:
        """The monitor's queries over ``start <= t < end``."""
        queries = tuple(Query(name, query.expr) for name, query in self.monitor.queries.items())
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

        ``spans`` narrows the time of single groups.

        Rows inside known events are hidden from the fit, so that an incident is not learned as normal. A group that
        cannot be fit is reported, and keeps its old model. Raises ``SourceError`` when the source cannot answer.
        """
        began = clock()
        end = floor_time(end, self.step)
        start = end - pd.Timedelta(self.model.fit_window) if start is None else start
        reading = self._read(self.request(floor_time(start, self.step), end))
        result = FitResult(warnings=reading.warnings)
        confirm_rows = self.monitor.events.confirm_rows
        for group, whole in reading.frames.items():
            if only_missing and self.models.is_usable(self.name, group):
                result.current.append(group)
                continue
            narrowed = whole.between(*spans[group]) if spans and group in spans else whole
            frame = _trimmed(self._without_events(group, narrowed))
            mark = fingerprint(frame, self.model, confirm_rows)
            if self.models.is_current(self.name, group, mark):
                result.current.append(group)
                continue
            try:
                detector = DiffusionDetector.fit(
                    frame,
                    self.model,
                    confirm_rows=confirm_rows,
                    progress=lambda done, total, group=group: progress(group, done, total),  # type: ignore[misc]
                    clock=clock,
                )
                self.models.put(self.name, group, detector, mark)
            except TsdiffError as error:
                result.errors.append((group_name(group), error))
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
    ) -> TickResult:
        """Score every row not scored yet that is older than ``now`` less the scheduler's offset.

        A group never scored begins at ``since``, by default one ``infer_every`` ago. Missed rows are caught up, at most
        ``max_catchup`` back. Raises ``SourceError`` when the source cannot answer: no verdict is made from that.
        """
        end = floor_time(now - pd.Timedelta(self.scheduler.offset), self.step)
        begin = end - max(pd.Timedelta(self.scheduler.infer_every), self.step) if since is None else since
        begin = floor_time(begin, self.step)
        known = {group: self.store.group_state(self.name, group) for group in self.store.groups(self.name)}
        last = [state.last_scored + self.step for state in known.values() if state.last_scored is not None]
        # A group that went away for good must not make every later tick read back to its last row.
        last = [time for time in last if since is not None or time >= end - pd.Timedelta(self.max_catchup)]
        start = max(min([begin, *last]), end - pd.Timedelta(self.max_catchup)) if since is None else min([begin, *last])
        if start >= end:
            return TickResult()
        reading = self._read(self.request(start - self.step * self.model.window, end))
        result = TickResult(warnings=reading.warnings, scored_until=end)
        for group, frame in reading.frames.items():
            state = known.get(group)
            first = (since_by_group or {}).get(group, start)
            if state is not None and state.last_scored is not None:
                first = state.last_scored + self.step
            share = self.monitor.alarms_per_week / len(reading.frames)  # the monitor's allowance, split evenly
            try:
                self._score_group(group, frame, max(first, start), share, result)
            except ModelError as error:
                result.without_model.append(group)
                if self.models.exists(self.name, group):
                    result.errors.append((group_name(group), error))
            except TsdiffError as error:
                result.errors.append((group_name(group), error))
            except Exception as error:  # a bug in one group must not stop the others
                result.errors.append((group_name(group), _unexpected(error, self.name, group_name(group))))
        return result

    def _score_group(
        self, group: Group, frame: Frame, first: pd.Timestamp, alarms_per_week: float, result: TickResult
    ) -> None:
        detector = self.models.get(self.name, group)
        frame = _conformed(frame, detector, self.name, group)
        # The newest rows without any value are left for a later tick: their samples may only be late.
        seen = np.flatnonzero(frame.observed.any(1))
        frame = frame.rows(0, int(seen[-1]) + 1 if seen.size else 0)
        row = max(frame.row(first), 0)
        if row >= len(frame):
            return
        rules = self._rules(frame.series)
        scores = detector.score(frame, first=row, alarms_per_week=alarms_per_week, rules=rules)
        state = self.store.group_state(self.name, group)
        tracker_state = TrackerState.from_json(state.tracker_json)
        tracker = EventTracker(self.monitor.events, self.name, group, tracker_state)

        def explain(at: pd.Timestamp, names: Sequence[str]) -> dict[str, tuple[float, float, float, float]]:
            return _explained(detector, frame, at, names)

        changes = tracker.advance(scores, explain)
        batch = ScoreBatch(
            self.name, self.monitor.model, self.monitor.scheduler, group, frame.rows(row, len(frame)), scores
        )
        for name, writer in self.writers.items():
            try:
                writer.write(batch)
            except WriteError as error:
                result.errors.append((f"writer {name}", error))
            except Exception as error:  # nor may a stranger's writer
                result.errors.append((f"writer {name}", _unexpected(error, self.name, f"writer {name}")))
        self.store.commit(
            self.name, group, frame.times[-1], tracker.state.to_json(), changes, list(self.monitor.notify)
        )
        result.rows += len(scores)
        result.groups += 1
        result.changes.extend(changes)

    def _rules(self, series: tuple[Series, ...]) -> dict[str, Rule]:
        queries = self.monitor.queries
        return {
            one.name: Rule(q.detection_direction, q.min_dev_from_expected, q.min_rel_dev_from_expected)
            for one in series
            if (q := queries.get(one.query)) is not None
        }

    def _read(self, request: ReadRequest) -> Reading:
        reading = self.reader.read(request)
        if reading.partial:
            raise SourceError(
                f"monitor {self.name}: the source gave only part of an answer ({'; '.join(reading.warnings)}); "
                "no score is made from it",
                reason="partial",
            )
        return reading

    def _without_events(self, group: Group, frame: Frame) -> Frame:
        """The frame with the rows of known events missing."""
        spans = [
            (event.start, event.end or frame.end)
            for event in self.store.events(monitor=self.name, start=frame.start, end=frame.end)
            if event.group == group
        ]
        if not spans:
            return frame
        values = frame.values.copy()
        for start, end in spans:
            values[max(frame.row(start), 0) : max(frame.row(end), 0)] = np.nan
        return Frame(frame.start, frame.step, values, frame.series)


def _trimmed(frame: Frame) -> Frame:
    """Without the empty rows at either end: history may begin later than asked for."""
    seen = np.flatnonzero(frame.observed.any(1))
    return frame.rows(int(seen[0]), int(seen[-1]) + 1) if seen.size else frame.rows(0, 0)


def _conformed(frame: Frame, detector: DiffusionDetector, monitor: str, group: Group) -> Frame:
    """The frame with exactly the metrics of the model: series that vanished are missing, new ones wait for a fit."""
    wanted = {metric.name for metric in detector.card.metrics}
    given = set(frame.names)
    if given == wanted:
        return frame
    if not given & wanted:
        raise SchemaMismatchError(
            f"none of the metrics is one the model was fit on (new: {', '.join(sorted(given)[:5])}); fit again"
        )
    absent, unknown = sorted(wanted - given), sorted(given - wanted)
    log.warning("metrics differ from the fit", monitor=monitor, group=group_name(group), absent=absent, new=unknown)
    kept = frame.select([name for name in frame.names if name in wanted])
    values = np.concatenate([kept.values, np.full((len(kept), len(absent)), np.nan, np.float32)], axis=1)
    return Frame(kept.start, kept.step, values, kept.series + tuple(Series(name) for name in absent))


def _explained(
    detector: DiffusionDetector, frame: Frame, at: pd.Timestamp, names: Sequence[str]
) -> dict[str, tuple[float, float, float, float]]:
    """Actual value, expected value and band of the named metrics at one row, from that row and those before it."""
    row = frame.row(at)
    past = frame.rows(max(row + 1 - detector.config.window, 0), row + 1)
    expected = detector.expected(past, names, first=len(past) - 1, read=1)
    column = {name: k for k, name in enumerate(frame.names)}
    return {
        one.name: (
            float(frame.values[row, column[one.name]]),
            float(expected.yhat[0, k]),
            float(expected.yhat_lower[0, k]),
            float(expected.yhat_upper[0, k]),
        )
        for k, one in enumerate(expected.series)
    }


def _unexpected(error: Exception, monitor: str, where: str) -> TsdiffError:
    """An error that is ours or a plug-in's: logged with its place but without its text, which may hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{place.filename}:{place.lineno}"
    log.error("unexpected error", monitor=monitor, where=where, type=type(error).__name__, at=at)
    return TsdiffError(f"unexpected {type(error).__name__} at {at}; please report it")
