"""The way of one group's new rows: frame → detector → event logic → writers; then, with the others', to the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig, QueryConfig
from tsdiff_monitor.detectors.expected import expected_of_all
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.pipeline.annotate import detailed
from tsdiff_monitor.pipeline.commit import Scored, commit_together
from tsdiff_monitor.pipeline.explanations import TimeBudget, explained
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.scoring.rules import Range, Rule, flagged, outside, unjudged
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.frame import Frame, Group, Series, group_name
from tsdiff_monitor.timeseries.scores import ScoreBatch, Scores
from tsdiff_monitor.timeseries.selection import conformed, trimmed

if TYPE_CHECKING:
    from tsdiff_monitor.pipeline.tick import Pipeline

__all__ = ["data_ranges", "score_groups"]


def score_groups(
    pipeline: Pipeline,
    detectors: Mapping[Group, Detector],
    frames: Mapping[Group, Frame],
    firsts: Mapping[Group, pd.Timestamp],
    alarms_per_week: float,
    result: TickResult,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Score each group from its row in ``firsts`` on and commit what follows; the outcome is in ``result``.

    Groups in which something happened are committed last, together: the others decide how each is told.
    """
    happened = []
    budget = TimeBudget(clock)
    for group, detector in detectors.items():
        try:
            found = _scored(pipeline, detector, group, frames[group], firsts[group], alarms_per_week, result, budget)
        except TsdiffError as error:
            result.errors.append((group_name(group), error))
        except Exception as error:  # a bug in one group must not stop the others
            where = group_name(group)
            result.errors.append((where, unexpected(error, monitor=pipeline.name, group=where)))
        else:
            if found is not None and found.changes:
                happened.append(found)
            elif found is not None:
                commit_together(pipeline, [found], result)
    commit_together(pipeline, happened, result)


def _scored(
    pipeline: Pipeline,
    detector: Detector,
    group: Group,
    frame: Frame,
    first: pd.Timestamp,
    alarms_per_week: float,
    result: TickResult,
    budget: TimeBudget,
) -> Scored | None:
    """Score the rows of ``frame`` from ``first`` on and write them; gives what is to be committed, None without rows.

    What a writer or the details failed with is in ``result``; scores and events are to be committed all the same.
    """
    name, monitor, store = pipeline.name, pipeline.monitor, pipeline.store
    frame, odd = conformed(frame, detector.names)
    result.warnings += tuple(f"group {group_name(group)}: {text}" for text in odd)
    # The newest rows without any value are left for a later tick: their samples may only be late.
    frame = trimmed(frame, head=False)
    row = max(frame.row(first), 0)
    if row >= len(frame):
        return None
    rules = {one.name: _rule(query) for one in frame.series if (query := monitor.queries.get(one.query)) is not None}
    ranges = data_ranges(monitor, frame.series)

    def score(rows: Frame, *, first: int = 0) -> Scores:
        found = detector.score(rows, first=first, alarms_per_week=alarms_per_week, rules=rules)
        return flagged(found, outside(ranges, rows.values[first:]))

    scores = score(frame, first=row)
    new = frame.rows(row, len(frame))
    scores = unjudged(scores, covered(monitor.calendar.values(), group, scores.times, "exclude"))
    state = store.group_state(name, group)
    tracker = EventTracker(monitor.events, name, group, TrackerState.from_json(state.tracker_json))

    def explain(at: pd.Timestamp, names: Sequence[str]) -> dict[str, tuple[float, float, float, float]]:
        return _explained(detector, frame, at, names)

    changes = tracker.advance(scores, explain)
    try:
        changes = explained(detector, frame, changes, score, earlier=store.event, budget=budget)
    except Exception as error:  # nor is an event lost for want of an explanation
        result.errors.append(("explanation", unexpected(error, monitor=name, group=group_name(group))))
    if changes and (monitor.notify or pipeline.routes):
        try:
            changes = detailed(pipeline, detector, frame, scores, changes, score)
        except Exception as error:  # a message without a picture is better than none
            result.errors.append(("details", unexpected(error, monitor=name, group=group_name(group))))
    expected = expected_of_all(detector, frame, first=row, read=1) if monitor.provide_series and monitor.write else None
    batch = ScoreBatch(name, monitor.model, monitor.scheduler, group, new, scores, expected)
    for written, writer in pipeline.writers.items():
        try:
            writer.write(batch)
        except WriteError as error:
            result.errors.append((f"writer {written}", error))
        except Exception as error:  # nor may a stranger's writer
            result.errors.append((f"writer {written}", unexpected(error, monitor=name, writer=written)))
    return Scored(group, changes, frame.times[-1], tracker.state.to_json(), len(scores))


def data_ranges(monitor: MonitorConfig, series: Sequence[Series]) -> list[Range | None]:
    """The ``data_range`` of each series' query."""
    found = (monitor.queries.get(one.query) for one in series)
    return [None if query is None else query.data_range for query in found]


def _rule(query: QueryConfig) -> Rule:
    return Rule(query.detection_direction, query.min_dev_from_expected, query.min_rel_dev_from_expected)


def _explained(
    detector: Detector, frame: Frame, at: pd.Timestamp, names: Sequence[str]
) -> dict[str, tuple[float, float, float, float]]:
    """Actual value, expected value and band of the named metrics at one row, from that row and those before it."""
    row = frame.row(at)
    past = frame.rows(max(row + 1 - detector.window, 0), row + 1)
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
