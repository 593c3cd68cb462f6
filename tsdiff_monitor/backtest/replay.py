"""Replays history through the production pipeline, the same as ``run``, with a simulated clock.

Its state is its own and temporary, so a backtest neither disturbs a running daemon nor is disturbed by an earlier one;
fitted models are kept, so a second run of the same spends no time on fitting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tsdiff_monitor.backtest.report.replay import EventRows, GroupReplay, Replay
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.events.event import Event
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import History, LabelledSpan
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.scores import ScoreBatch, Scores

__all__ = ["Spans", "replay"]

_EVIDENCE_EVENTS = 50
"""Events with charts, the highest peaks first; the rest are in the report's table."""
_CONTEXT_ROWS = 45
_EVIDENCE_ROWS = 720


@dataclass(frozen=True)
class Spans:
    """The spans to fit on and to score, per group where the source knows them, else the same for all."""

    fit_start: pd.Timestamp
    fit_end: pd.Timestamp
    start: pd.Timestamp
    end: pd.Timestamp
    fit_by_group: Mapping[Group, tuple[pd.Timestamp, pd.Timestamp]] = field(default_factory=dict)
    start_by_group: Mapping[Group, pd.Timestamp] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline, start: pd.Timestamp | None, end: pd.Timestamp | None) -> Spans:
        """The spans of ``--start`` and ``--end``, else those that the source gives for its data.

        Given a start, the fit uses the model's ``fit_window`` before it. Raises :class:`DataError` when neither says.
        """
        known = pipeline.reader.extents(pipeline.monitor.groupby) if isinstance(pipeline.reader, History) else {}
        if end is None and known:
            end = max(extent.end for extent in known.values())
        first = min((extent.start for extent in known.values()), default=None) if start is None else start
        if first is None or end is None:
            raise DataError("its source does not say where its data lies; give --start and --end")
        if first >= end:
            raise DataError(
                f"there is nothing to score from {first.isoformat()} to {end.isoformat()}; "
                "let --start be before --end, and --end after the history to fit on"
            )
        if start is not None:
            return cls(start - pd.Timedelta(pipeline.model.fit_window), start, start, end)
        return cls(
            min(extent.fit_start for extent in known.values()),
            max(extent.fit_end for extent in known.values()),
            first,
            end,
            {group: (extent.fit_start, extent.fit_end) for group, extent in known.items()},
            {group: extent.start for group, extent in known.items()},
        )


class _Collector:
    """A writer that keeps every batch, for the report; rows that are scored again replace what they were."""

    def __init__(self) -> None:
        self.batches: dict[Group, list[ScoreBatch]] = {}

    def write(self, batch: ScoreBatch) -> None:
        batches = self.batches.setdefault(batch.group, [])
        while batches and batches[-1].frame.start >= batch.frame.start:
            batches.pop()
        batches.append(batch)

    def close(self) -> None:
        return


def replay(
    pipeline: Pipeline,
    spans: Spans,
    *,
    title: str,
    chunk: pd.Timedelta,
    progress: Callable[[str, float, float], None] = lambda *_: None,
    after_tick: Callable[[], object] = lambda: None,
    clock: Callable[[], float],
    notes: tuple[str, ...] = (),
) -> tuple[Replay, list[tuple[str, TsdiffError]]]:
    """Fit, then send the span through the pipeline, ``chunk`` by ``chunk``; gives the report's input and what failed.

    ``after_tick`` runs after each chunk (the demo delivers there). The chunk's size changes nothing in the result.
    Only groups whose model was fit on the span's own history are scored. ``clock`` bounds the time of a fit.
    """
    collector = _Collector()
    incidents = _incidents(pipeline, spans)  # before the long work: what is wrong with the labels must show at once
    pipeline = dataclasses.replace(pipeline, writers={**pipeline.writers, "report": collector})
    fitted = pipeline.fit(
        spans.fit_end + pipeline.offset,
        start=spans.fit_start,
        spans=spans.fit_by_group,
        progress=lambda group, done, total: progress(f"fitting {group_name(group)}", done, total),
        clock=clock,
    )
    errors, scored = list(fitted.errors), {*fitted.fitted, *fitted.current}
    warnings, without_history = fitted.warnings, dict[Group, None]()
    warnings += tuple(map(str, fitted.calendar_errors.values()))
    total = (spans.end - spans.start) / pd.Timedelta(hours=1)
    now = spans.start
    while now < spans.end:
        now = min(now + chunk, spans.end)
        result = pipeline.tick(
            now + pipeline.offset,
            since=spans.start,
            since_by_group=spans.start_by_group,
            groups=scored,
            clock=_standing,
        )
        errors.extend(result.errors)
        warnings += result.warnings
        without_history |= dict.fromkeys(result.without_model)
        after_tick()
        progress("scoring (hours)", (now - spans.start) / pd.Timedelta(hours=1), total)
    reported = {where for where, _ in errors}
    errors.extend(
        (group_name(group), DataError("not scored: the source has nothing of it in the span to fit on"))
        for group in without_history
        if group_name(group) not in reported
    )
    groups = _groups(pipeline, collector, incidents, progress)
    outcome = Replay(
        title=title,
        monitor=pipeline.name,
        alarms_per_week=pipeline.monitor.alarms_per_week,
        start=spans.start,
        end=spans.end,
        step=pipeline.step,
        groups=groups,
        notes=(*notes, *dict.fromkeys(warnings)),
    )
    return outcome, list({(where, str(error)): (where, error) for where, error in errors}.values())


def _standing() -> float:
    """A clock that stands still: bounds of time that hold live must not make one replay differ from another."""
    return 0.0


def _incidents(pipeline: Pipeline, spans: Spans) -> tuple[LabelledSpan, ...] | None:
    if isinstance(pipeline.reader, History):
        return pipeline.reader.incidents(pipeline.request(spans.start, spans.end))
    return None


def _groups(
    pipeline: Pipeline,
    collector: _Collector,
    incidents: tuple[LabelledSpan, ...] | None,
    progress: Callable[[str, float, float], None],
) -> tuple[GroupReplay, ...]:
    events = [event for event in pipeline.store.events(monitor=pipeline.name) if not event.members]
    shown = sorted(events, key=lambda event: (-event.peak, event.id))[:_EVIDENCE_EVENTS]
    done = 0
    groups = []
    for group, batches in sorted(collector.batches.items()):
        frame, scores = _joined(batches)
        of_group = tuple(sorted((e for e in events if e.group == group), key=lambda e: (e.start, e.id)))
        evidence = {}
        for event in of_group:
            if event in shown:
                evidence[event.id] = _evidence(pipeline, event, frame, scores)
                done += 1
                progress("explaining events", done, len(shown))
        labelled = None if incidents is None else tuple(incident for incident in incidents if incident.group == group)
        groups.append(GroupReplay(group, frame, scores, of_group, labelled, evidence))
    return tuple(groups)


def _joined(batches: list[ScoreBatch]) -> tuple[Frame, Scores]:
    """The batches of a group, which follow each other without a gap, as one."""
    first = batches[0]
    values = np.concatenate([batch.frame.values for batch in batches])
    frame = Frame(first.frame.start, first.frame.step, values, first.frame.series)
    return frame, Scores(
        frame.times,
        first.scores.series,
        np.concatenate([batch.scores.score for batch in batches]),
        np.concatenate([batch.scores.attribution for batch in batches]),
    )


def _evidence(pipeline: Pipeline, event: Event, frame: Frame, scores: Scores) -> EventRows:
    """The rows around an event with what its culprits should have been, given all the other metrics."""
    detector = pipeline.models.get(pipeline.name, event.group)
    end = event.end or event.last
    first = max(frame.row(event.start) - _CONTEXT_ROWS, 0)
    last = min(frame.row(end) + _CONTEXT_ROWS, first + _EVIDENCE_ROWS, len(frame))
    names = [culprit.metric for culprit in event.culprits]
    context = max(first - detector.window, 0)
    expected = detector.expected(frame.rows(context, last), names, first=first - context)
    part = Scores(scores.times[first:last], scores.series, scores.score[first:last], scores.attribution[first:last])
    shown = frame.rows(first, last).select([series.name for series in expected.series])
    return EventRows(shown, part, expected)
