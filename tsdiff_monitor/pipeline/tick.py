"""One tick of a monitor: plan → read → tasks → score → follow → commit → write.

``run``, ``once`` and ``backtest`` all come through here; they differ only in where the clock and the frames come from.
Each step takes values and gives values; the middle ones are in ``pipeline/advance.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.errors import StoreError, TsdiffError
from tsdiff_monitor.events.calendars import read_calendars
from tsdiff_monitor.pipeline.absence import track_absences
from tsdiff_monitor.pipeline.advance import advance, batches
from tsdiff_monitor.pipeline.alarm_rate import share_of
from tsdiff_monitor.pipeline.cold_start import ColdStart, fit_cold
from tsdiff_monitor.pipeline.detectors import ModelRef, choose_detectors
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.parts import Parts
from tsdiff_monitor.pipeline.plan import plan_tick
from tsdiff_monitor.pipeline.read import newest_rows, read_rows
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.pipeline.score import make_tasks
from tsdiff_monitor.pipeline.sinks import Sinks
from tsdiff_monitor.store.records import GroupState
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

__all__ = ["tick"]


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
    plan = plan_tick(
        monitor, scored, now, context_rows=context_rows, since=since, since_by_group=since_by_group,
        again_from=_unwritten(monitor, parts.sinks, states),
    )  # fmt: skip
    if plan is None:
        return TickResult()
    rows = read_rows(parts.reader, monitor, plan)
    result = TickResult(warnings=rows.warnings, scored_until=plan.end)
    result.calendar_errors = read_calendars(monitor.config.calendar.values())
    firsts = {group: first for group, first in rows.firsts.items() if groups is None or group in groups}
    result.without_model.extend(group for group in rows.frames if group not in firsts)
    chosen = _chosen(parts, monitor.name, cold, rows.frames, firsts, clock)
    result.without_model.extend(chosen.missing)
    result.cold_start.extend(chosen.cold)
    result.errors.extend(chosen.errors)
    allowed = monitor.config.alarms_per_week
    if groups is None:
        share = share_of(allowed, _known(monitor, states, rows.frames, plan.end))
    else:
        share = allowed / max(len(groups), 1)
    tasks, failures, warnings = make_tasks(monitor, parts.remembered, chosen.models, rows.frames, firsts, share)
    result.warnings += tuple(warnings)
    result.errors.extend((group_name(failure.group), failure.error) for failure in failures)
    seen = newest_rows(rows.frames)
    gone, errors = track_absences(monitor, store, states, seen, plan.end) if absent else ([], [])
    result.errors.extend(errors)
    done = advance(
        monitor, tasks,
        models=parts.remembered, scorer=parts.scorer, store=store, states=states, also=gone, seen=seen, clock=clock,
        written=parts.sinks.written() if parts.sinks else None,
    )  # fmt: skip
    result.changes, result.rows, result.groups = done.changes, done.rows, len(done.followed)
    result.errors.extend(done.errors)
    if parts.sinks:
        parts.sinks.retain(states.keys() | rows.frames.keys())
        new = batches(monitor, done.followed, parts.remembered, result.errors)
        result.errors.extend(parts.sinks.write(new))
        if parts.sinks.writes_at_once:  # otherwise the next tick's commit knows
            result.errors.extend(_mark_written(monitor, store, parts.sinks.written()))
    return result


def _unwritten(monitor: Monitor, sinks: Sinks, states: Mapping[Group, GroupState]) -> dict[Group, pd.Timestamp] | None:
    """The first row of each group that the process before may have committed and not written."""
    if not sinks:
        return None
    return {
        group: state.last_written + monitor.step
        for group, state in states.items()
        if state.last_written is not None and not sinks.has_taken(group)
    }


def _mark_written(
    monitor: Monitor, store: Store, written: Mapping[Group, pd.Timestamp]
) -> list[tuple[str, TsdiffError]]:
    try:
        store.mark_written(monitor.name, written)
    except StoreError as error:  # the rows are written once more by the next process
        return [("writers", error)]
    return []


@dataclass(frozen=True)
class _Chosen:
    """The model of each group that has one, else its fallback (``cold``); ``missing`` are the groups to fit."""

    models: Mapping[Group, ModelRef]
    missing: Sequence[Group]
    cold: Sequence[Group]
    errors: Sequence[tuple[str, TsdiffError]]


def _chosen(
    parts: Parts,
    monitor: str,
    cold: ColdStart | None,
    frames: Mapping[Group, Frame],
    firsts: Mapping[Group, pd.Timestamp],
    clock: Callable[[], float],
) -> _Chosen:
    choice = choose_detectors(parts.remembered, monitor, firsts)
    errors = [(group_name(group), error) for group, error in choice.refused]
    found = dict(choice.found)
    without = {group: first for group, first in firsts.items() if group not in found}
    fallbacks = list[Group]()
    if cold is not None:
        errors += fit_cold(
            cold, without, frames, reader=parts.reader, store=parts.store, fitter=parts.fitter, clock=clock
        )
        fallbacks = [group for group in without if cold.has(group)]
        found |= {group: ModelRef(monitor, group, cold=True) for group in fallbacks}
    models = {group: found[group] for group in firsts if group in found}
    return _Chosen(models, choice.missing, fallbacks, errors)


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
