"""One tick of a monitor: plan → read → tasks → score → follow → commit → write.

``run``, ``once`` and ``backtest`` all come through here; they differ only in where the clock and the frames come from.
Each step takes values and gives values; the middle ones are in ``pipeline/advance.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.errors import DataError, SourceError, StoreError, TsdiffError
from tsdiff_monitor.events.absence import absences
from tsdiff_monitor.events.calendars import covered, read_calendars
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.advance import advance, batches
from tsdiff_monitor.pipeline.alarm_rate import share_of
from tsdiff_monitor.pipeline.cold_start import ColdStart
from tsdiff_monitor.pipeline.commit import Outcome
from tsdiff_monitor.pipeline.detectors import ModelRef, choose_detectors
from tsdiff_monitor.pipeline.fitting import FitTask, Fitted, Fitter
from tsdiff_monitor.pipeline.history import stored_history
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.plan import plan_tick
from tsdiff_monitor.pipeline.read import newest_rows, read_rows, read_whole
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.pipeline.score import Scorer, make_tasks
from tsdiff_monitor.pipeline.sinks import Sinks
from tsdiff_monitor.plugins import Reader
from tsdiff_monitor.store.records import GroupState
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import internal_error
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

__all__ = ["Parts", "tick"]


@dataclass(frozen=True)
class Parts:
    """The parts that a monitor works with."""

    reader: Reader
    store: Store
    models: ModelStore
    scorer: Scorer
    fitter: Fitter
    sinks: Sinks


def tick(
    monitor: Monitor,
    parts: Parts,
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
    ``max_catchup`` back unless ``since`` is given. Only ``groups`` are scored, by default all that have a model, with
    ``cold_start`` also those that have a fallback until they have one; the monitor's allowance of alarms is split over
    them, by default over all that the source has now or had within ``forget_after``. Raises
    ``SourceError`` when the source cannot answer: no verdict is made from that. With ``absent``, groups that stopped
    reporting have events too.
    """
    store, models = parts.store, parts.models
    states = store.group_states(monitor.name)
    cold = ColdStart.of(monitor, models) if cold_start else None
    scored = {group: state.last_scored for group, state in states.items() if state.last_scored is not None}
    context_rows = max(monitor.model.window, 0 if cold is None else cold.config.window)
    written = store.written(monitor.name) if parts.sinks else None
    plan = plan_tick(
        monitor, scored, now, context_rows=context_rows, since=since, since_by_group=since_by_group,
        again_from=written if parts.sinks.is_new else None,
    )  # fmt: skip
    if plan is None:
        return TickResult()
    rows = read_rows(parts.reader, monitor, plan)
    result = TickResult(warnings=rows.warnings, scored_until=plan.end)
    result.calendar_errors = read_calendars(monitor.config.calendar.values())
    firsts = {group: first for group, first in rows.firsts.items() if groups is None or group in groups}
    result.without_model.extend(group for group in rows.frames if group not in firsts)
    chosen = _chosen(monitor, parts, cold, rows.frames, firsts, result, clock)
    allowed = monitor.config.alarms_per_week
    if groups is None:
        share = share_of(allowed, _known(monitor, states, rows.frames, plan.end))
    else:
        share = allowed / max(len(groups), 1)
    tasks, failures, warnings = make_tasks(monitor, models, chosen, rows.frames, firsts, share)
    result.warnings += tuple(warnings)
    result.errors.extend((group_name(failure.group), failure.error) for failure in failures)
    seen = newest_rows(rows.frames)
    gone = _absences(monitor, store, states, seen, plan.end, result) if absent else []
    done = advance(
        monitor, tasks,
        models=models, scorer=parts.scorer, store=store, states=states, also=gone, seen=seen, clock=clock,
        written=plan.start if parts.sinks and written is None else parts.sinks.written,
    )  # fmt: skip
    result.changes, result.rows, result.groups = done.changes, done.rows, len(done.followed)
    result.errors.extend(done.errors)
    if parts.sinks:
        new = batches(monitor, done.followed, models, result.errors)
        result.errors.extend(parts.sinks.write(new, plan.end))
        if parts.sinks.written == plan.end:  # at once; otherwise the next tick knows
            result.errors.extend(_mark_written(monitor, store, plan.end))
    return result


def _mark_written(monitor: Monitor, store: Store, until: pd.Timestamp) -> list[tuple[str, TsdiffError]]:
    try:
        store.mark_written(monitor.name, until)
    except StoreError as error:  # the rows are written once more by the next process
        return [("writers", error)]
    return []


def _chosen(
    monitor: Monitor,
    parts: Parts,
    cold: ColdStart | None,
    frames: Mapping[Group, Frame],
    firsts: Mapping[Group, pd.Timestamp],
    result: TickResult,
    clock: Callable[[], float],
) -> dict[Group, ModelRef]:
    """The model of each group that has one, else its cold start; groups without a model are in ``result``."""
    choice = choose_detectors(parts.models, monitor.name, firsts)
    result.without_model.extend(choice.missing)
    result.errors.extend((group_name(group), error) for group, error in choice.refused)
    found = dict(choice.found)
    if cold is not None:
        missing = {group: first for group, first in firsts.items() if group not in found}
        result.errors.extend(_fit_cold(cold, parts, cold.wanted(missing, frames), clock))
        result.cold_start.extend(group for group in missing if cold.has(group))
        found |= {group: ModelRef(monitor.name, group, cold=True) for group in result.cold_start}
    return {group: found[group] for group in firsts if group in found}


def _fit_cold(
    cold: ColdStart, parts: Parts, wanted: Mapping[Group, pd.Timestamp], clock: Callable[[], float]
) -> list[tuple[str, TsdiffError]]:
    """Fit fallbacks on the rows before those to score; gives what failed.

    A group with too little history is left out, without an error. Stops after one ``infer_every``: the groups left over
    have their turn at later ticks.
    """
    if not wanted:
        return []
    monitor, errors = cold.monitor, list[tuple[str, TsdiffError]]()
    began, budget = clock(), monitor.scheduler.infer_every.total_seconds()
    start = min(cold.span(first)[0] for first in wanted.values())
    try:
        request = monitor.request(start, max(wanted.values()), wanted)
        histories = read_whole(parts.reader, monitor.name, request).frames
    except SourceError as error:  # the rows to score have been read: groups with a model are not held up
        return [("cold start", error)]

    def tasks() -> Iterator[FitTask]:
        for group, first in wanted.items():
            if group not in histories or clock() - began > budget:
                continue
            try:
                history = stored_history(monitor, parts.store, group, histories[group].between(*cold.span(first)))
                task = cold.task(group, history)
            except DataError:  # not enough rows yet
                continue
            except Exception as error:  # a bug in one group must not stop the others
                errors.append((group_name(group), _known_error(error, monitor.name)))
                continue
            if task is not None:
                yield task

    for outcome in parts.fitter.fit(tasks(), progress=lambda *_: None, clock=clock):
        if isinstance(outcome, Fitted):
            try:
                parts.models.put_cold(monitor.name, outcome.task.group, outcome.detector)
            except Exception as error:  # a disk that is full must not stop the others
                errors.append((group_name(outcome.task.group), _known_error(error, monitor.name)))
        elif not isinstance(outcome.error, DataError):  # which says that there are not enough rows yet
            errors.append((group_name(outcome.group), outcome.error))
    return errors


def _known(monitor: Monitor, states: Mapping[Group, GroupState], frames: Collection[Group], end: pd.Timestamp) -> int:
    """Number of groups that share the allowance: those read now, and scored ones that were read of late."""
    recent = {
        group
        for group, state in states.items()
        if state.last_scored is not None
        and state.last_seen is not None
        and end - state.last_seen - monitor.step < monitor.config.forget_after
    }
    return len(recent.union(frames))


def _absences(
    monitor: Monitor,
    store: Store,
    states: Mapping[Group, GroupState],
    seen: Mapping[Group, pd.Timestamp],
    end: pd.Timestamp,
    result: TickResult,
) -> list[Outcome]:
    """The changes of absences among groups that were scored before, and the ends of the events of groups that are gone
    for good; a failure is in ``result``."""
    config, forget_after = monitor.config, pd.Timedelta(monitor.config.forget_after)
    last_seen = {}
    for group, state in states.items():
        times = [time for time in (state.last_seen, state.last_scored, seen.get(group)) if time is not None]
        if state.last_scored is not None:
            last_seen[group] = max(times)
    at = pd.DatetimeIndex([end])
    found: list[Outcome] = []
    try:
        for group, last in last_seen.items():
            if end - last - monitor.step >= forget_after:
                found += _expired(monitor, group, states[group])
        if config.absent_after is not None:
            changes = absences(
                monitor.name,
                last_seen,
                store.events(monitor.name, state="open"),
                end=end,
                step=monitor.step,
                absent_after=pd.Timedelta(config.absent_after),
                forget_after=forget_after,
                is_excluded=lambda group: bool(covered(config.calendar.values(), group, at, "exclude")[0]),
            )
            found += [Outcome(change.event.group, [change]) for change in changes]
    except Exception as error:  # what was scored must be committed all the same
        result.errors.append(("absences", _known_error(error, monitor.name)))
        return []
    return found


def _expired(monitor: Monitor, group: Group, state: GroupState) -> list[Outcome]:
    """The end of the open event of a group that is gone for good, with the memory that it leaves."""
    memory = TrackerState.from_json(state.tracker_json)
    tracker = EventTracker(monitor.config.events, monitor.name, group, memory)
    changes = tracker.expire()
    return [Outcome(group, changes, None, tracker.state.to_json())] if changes else []


def _known_error(error: Exception, monitor: str) -> TsdiffError:
    return error if isinstance(error, TsdiffError) else internal_error(error, monitor=monitor)
