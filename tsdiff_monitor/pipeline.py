"""The way of a sample, from the reader to the store, for one monitor.

reader → frame → detector (score, expected, attribution) → event logic → writers → store, in one transaction with the
deliveries that are due. ``run``, ``once`` and ``backtest`` all come through here; they differ only in where the clock
and the frames come from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd

from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detector import DiffusionDetector
from tsdiff_monitor.errors import ModelError, SourceError, TsdiffError, WriteError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.frame import Frame, Group, Series, floor_time, group_name
from tsdiff_monitor.frame_edits import any_since, conformed, trimmed, without
from tsdiff_monitor.plugins import Query, Reader, Reading, ReadRequest, Writer
from tsdiff_monitor.scores import ScoreBatch
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.store.models import ModelStore, fingerprint
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.unexpected import unexpected

__all__ = ["FitResult", "Pipeline", "TickResult"]
_BUGS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What a bug raises, but not what a caller of a fit may raise in ``progress`` to give it up."""


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

    @property
    def offset(self) -> pd.Timedelta:
        """How far behind the present rows are read."""
        return pd.Timedelta(self.scheduler.offset)

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

        ``spans`` narrows the time of single groups, ``only_missing`` leaves out those with a model that can be used.
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
            events = self.store.events(monitor=self.name, start=narrowed.start, end=narrowed.end)
            frame = trimmed(without(narrowed, [(e.start, e.end) for e in events if e.group == group]))
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
    ) -> TickResult:
        """Score every row not scored yet that is older than ``now`` less the scheduler's offset.

        A group never scored begins at ``since``, by default one ``infer_every`` ago. Missed rows are caught up, at most
        ``max_catchup`` back unless ``since`` is given. Only ``groups`` are scored, by default all that have a model;
        the monitor's allowance of alarms is split over them, by default over all that the source has now. Raises
        ``SourceError`` when the source cannot answer: no verdict is made from that.
        """
        end = floor_time(now - self.offset, self.step)
        oldest = end - pd.Timedelta(self.max_catchup) if since is None else floor_time(since, self.step)
        due = self._due(oldest)
        # A group that went away must not make every later tick read back to its last row: the others say what to read.
        recent = max(due.values(), default=oldest) - self._context
        starts = [time for time in due.values() if time >= recent]
        if since is None:
            starts.append(end - max(pd.Timedelta(self.scheduler.infer_every), self.step))
        start = max(min(starts, default=oldest), oldest)
        if start >= end:
            return TickResult()
        reading = self._read(self.request(start - self._context, end))
        frames, warnings = dict(reading.frames), reading.warnings
        back = {
            group for group, time in due.items() if time < start and group in frames and any_since(frames[group], time)
        }
        if back:
            again = self._read(self.request(min(due[group] for group in back) - self._context, end))
            frames |= {group: frame for group, frame in again.frames.items() if group in back}
            warnings = tuple(dict.fromkeys(warnings + again.warnings))
        result = TickResult(warnings=warnings, scored_until=end)
        share = self.monitor.alarms_per_week / max(len(frames if groups is None else groups), 1)
        for group, frame in frames.items():
            if groups is not None and group not in groups:
                result.without_model.append(group)
                continue
            first = due.get(group, max((since_by_group or {}).get(group, start), start))
            try:
                self._score_group(group, frame, first, share, result)
            except ModelError as error:
                result.without_model.append(group)
                if self.models.exists(self.name, group):
                    result.errors.append((group_name(group), error))
            except TsdiffError as error:
                result.errors.append((group_name(group), error))
            except Exception as error:  # a bug in one group must not stop the others
                result.errors.append((group_name(group), unexpected(error, monitor=self.name, group=group_name(group))))
        return result

    @property
    def _context(self) -> pd.Timedelta:
        """What has to be read before the first row to score."""
        return self.step * self.model.window

    def _due(self, oldest: pd.Timestamp) -> dict[Group, pd.Timestamp]:
        """Where each group that has been scored before goes on, not before ``oldest``."""
        last = {group: self.store.group_state(self.name, group).last_scored for group in self.store.groups(self.name)}
        return {group: max(time + self.step, oldest) for group, time in last.items() if time is not None}

    def _score_group(
        self, group: Group, frame: Frame, first: pd.Timestamp, alarms_per_week: float, result: TickResult
    ) -> None:
        detector = self.models.get(self.name, group)
        frame, odd = conformed(frame, [metric.name for metric in detector.card.metrics])
        result.warnings += tuple(f"group {group_name(group)}: {text}" for text in odd)
        # The newest rows without any value are left for a later tick: their samples may only be late.
        frame = trimmed(frame, head=False)
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
                result.errors.append((f"writer {name}", unexpected(error, monitor=self.name, writer=name)))
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
                f"monitor {self.name}: the source gave only part of an answer "
                f"({'; '.join(reading.warnings) or 'it does not say why'}); no score is made from it",
                reason="partial",
            )
        return reading


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
