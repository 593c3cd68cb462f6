"""One round of one group through the production pipeline: rows with incidents in, trials out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.backtest.judging import GRACE_STEPS, TOP_CULPRITS
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.injection import InjectedAnomaly
from tsdiff_monitor.pipeline.advance import advance
from tsdiff_monitor.pipeline.detectors import ModelRef
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.score import LocalScorer, make_tasks
from tsdiff_monitor.rehearsal.baseline_rows import HistorySlice
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.rehearsal.incidents import Round
from tsdiff_monitor.rehearsal.outcome import Trial
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.selection import mask_spans

__all__ = ["Sandbox", "Scenario", "judged", "quiet_rows", "tail_rows"]

_LEAD = 5
"""Rows scored before an incident: an event there is not caused by it."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """Rows to score, from the time ``first`` on; those before it are context."""

    frame: Frame
    first: pd.Timestamp


@dataclass(frozen=True, eq=False)
class Sandbox:
    """The place of one group's trials: its pipeline, a store for the trials, its history, its model, and its part of
    the allowance of alarms."""

    pipeline: Pipeline
    trials: Store
    history: HistorySlice
    detector: Following
    alarms_per_week: float

    def scenario(self, values: np.ndarray, begin: int, end: int, *, context: int = 0) -> Scenario:
        """Rows ``begin <= i < end`` of ``values[T, K]`` on the history, after what the model needs to see before them
        and ``context`` rows more."""
        history, frame = self.history, self.history.frame
        whole = np.concatenate([frame.values[: history.first], values])
        first, last = history.first + max(begin, 0), min(history.first + end, len(whole))
        back = max(first - self.detector.window - context, 0)
        rows = Frame(frame.start + back * frame.step, frame.step, whole[back:last], frame.series)
        return Scenario(rows, frame.start + first * frame.step)

    def play(self, scenario: Scenario, name: str) -> list[EventChange]:
        """The changes of events that a scenario leads to, as of a monitor called ``name`` that starts with it.

        Nothing is sent, and what only a message needs is left out. Raises what stopped the scoring.
        """
        monitor = self.pipeline.monitor.model_copy(update={"calendar": {}, "write": (), "notify": ()})
        pipeline = dataclasses.replace(
            self.pipeline, name=name, monitor=monitor, store=self.trials, writers={}, routes=()
        )
        detector = dataclasses.replace(self.detector, plain=True)
        return _played(pipeline, detector, self.history, scenario, self.alarms_per_week)

    def perform(self, scenario: Scenario, store: Store) -> list[EventChange]:
        """The same with everything that a message shows, and under the monitor's own name. Nothing is sent yet."""
        monitor = self.pipeline.monitor.model_copy(update={"calendar": {}, "write": ()})
        pipeline = dataclasses.replace(self.pipeline, monitor=monitor, store=store, writers={})
        return _played(pipeline, self.detector, self.history, scenario, self.alarms_per_week)


@dataclass(frozen=True)
class _OneModel:
    """The model of the one group that is played."""

    detector: Detector

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:  # noqa: ARG002
        return self.detector


def _played(
    pipeline: Pipeline, detector: Detector, history: HistorySlice, scenario: Scenario, alarms_per_week: float
) -> list[EventChange]:
    monitor, models, group = pipeline.spec, _OneModel(detector), history.group
    chosen = {group: ModelRef(monitor.name, group)}
    tasks, failures, _ = make_tasks(
        monitor, models, chosen, {group: scenario.frame}, {group: scenario.first}, alarms_per_week
    )
    states = {group: pipeline.store.group_state(monitor.name, group)}
    done = advance(monitor, tasks, models=models, scorer=LocalScorer(models), store=pipeline.store, states=states)
    for where, error in (*((group_name(one.group), one.error) for one in failures), *done.errors):
        if where != "details":  # a message without a picture is better than none
            raise error
    return done.changes


def quiet_rows(history: HistorySlice, changes: Sequence[EventChange], margin: int) -> tuple[HistorySlice, int]:
    """The history without the events there are before any incident, nor the ``margin`` rows around each; and how many
    events these were: anything found elsewhere is found because of the incidents."""
    step = history.frame.step
    last = {change.event.id: change.event for change in changes}
    spans = [
        (event.start - margin * step, None if event.end is None else event.end + margin * step)
        for event in last.values()
    ]
    return dataclasses.replace(history, frame=mask_spans(history.frame, spans)), len(spans)


def tail_rows(sandbox: Sandbox) -> int:
    """Rows after an incident in which an event still belongs to it."""
    return sandbox.pipeline.monitor.events.confirm_rows + GRACE_STEPS


def judged(sandbox: Sandbox, rows: Round, name: str) -> list[tuple[InjectedAnomaly, Trial]]:
    """The trial of each incident of a round, each replayed by itself, so that no event reaches from one to the next.

    An incident is found by the first event that opens from its start on. Where one is open before, there is no trial:
    it would not be clear what was found.
    """
    step, start, names = sandbox.history.frame.step, sandbox.history.start, sandbox.history.frame.names
    trials = []
    for number, incident in enumerate(rows.incidents):
        scenario = sandbox.scenario(rows.values, incident.start - _LEAD, incident.end + tail_rows(sandbox))
        changes = sandbox.play(scenario, f"{name}/{number}")
        event = next((change.event for change in changes if change.change is Change.opened), None)
        delay = None if event is None else int((event.confirmed - start) // step) - incident.start
        if delay is not None and delay < 0:
            continue
        metrics = tuple(names[k] for k in incident.metrics)
        named = event is not None and any(one.metric in metrics for one in event.culprits[:TOP_CULPRITS])
        length = incident.end - incident.start
        trials.append((incident, Trial(incident.kind, metrics, length, round(incident.magnitude, 3), delay, named)))
    return trials
