"""One pass of one group through the production path: rows with incidents in, trials out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.backtest.judging import GRACE_STEPS, TOP_CULPRITS
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.injection import Incident
from tsdiff_monitor.pipeline.advance import advance
from tsdiff_monitor.pipeline.detectors import ModelRef
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.score import LocalScorer, make_tasks
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.rehearsal.ground import Ground
from tsdiff_monitor.rehearsal.incidents import Pass
from tsdiff_monitor.rehearsal.outcome import Trial
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.selection import without

__all__ = ["Scene", "Stage", "judged", "quiet_rows", "tail_rows"]

_LEAD = 5
"""Rows scored before an incident: an event there is none of its own."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Rows to score, from the time ``first`` on; those before it are context."""

    frame: Frame
    first: pd.Timestamp


@dataclass(frozen=True, eq=False)
class Stage:
    """Where one group's trials are played: its pipeline, a store for the trials, its ground, its model, and its share
    of the allowance of alarms."""

    pipeline: Pipeline
    trials: Store
    ground: Ground
    detector: Following
    alarms_per_week: float

    def scene(self, values: np.ndarray, begin: int, end: int, *, context: int = 0) -> Scene:
        """Rows ``begin <= i < end`` of ``values[T, K]`` on the ground, after what the model needs to see before them
        and ``context`` rows more."""
        ground, frame = self.ground, self.ground.frame
        whole = np.concatenate([frame.values[: ground.first], values])
        first, last = ground.first + max(begin, 0), min(ground.first + end, len(whole))
        back = max(first - self.detector.window - context, 0)
        rows = Frame(frame.start + back * frame.step, frame.step, whole[back:last], frame.series)
        return Scene(rows, frame.start + first * frame.step)

    def play(self, scene: Scene, name: str) -> list[EventChange]:
        """The changes of events that a scene leads to, as of a monitor called ``name`` that starts with it.

        Nobody is told, and what only a message needs is left out. Raises what stopped the scoring.
        """
        monitor = self.pipeline.monitor.model_copy(update={"calendar": {}, "write": (), "notify": ()})
        pipeline = dataclasses.replace(
            self.pipeline, name=name, monitor=monitor, store=self.trials, writers={}, routes=()
        )
        detector = dataclasses.replace(self.detector, plain=True)
        return _played(pipeline, detector, self.ground, scene, self.alarms_per_week)

    def perform(self, scene: Scene, store: Store) -> list[EventChange]:
        """The same with everything that a message shows, and under the monitor's own name. Nobody is told yet."""
        monitor = self.pipeline.monitor.model_copy(update={"calendar": {}, "write": ()})
        pipeline = dataclasses.replace(self.pipeline, monitor=monitor, store=store, writers={})
        return _played(pipeline, self.detector, self.ground, scene, self.alarms_per_week)


@dataclass(frozen=True)
class _OneModel:
    """The model of the one group that is played."""

    detector: Detector

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:  # noqa: ARG002
        return self.detector


def _played(
    pipeline: Pipeline, detector: Detector, ground: Ground, scene: Scene, alarms_per_week: float
) -> list[EventChange]:
    monitor, models, group = pipeline.spec, _OneModel(detector), ground.group
    chosen = {group: ModelRef(monitor.name, group)}
    tasks, failures, _ = make_tasks(
        monitor, models, chosen, {group: scene.frame}, {group: scene.first}, alarms_per_week
    )
    states = {group: pipeline.store.group_state(monitor.name, group)}
    done = advance(monitor, tasks, models=models, scorer=LocalScorer(models), store=pipeline.store, states=states)
    for where, error in (*((group_name(one.group), one.error) for one in failures), *done.errors):
        if where != "details":  # a message without a picture is better than none
            raise error
    return done.changes


def quiet_rows(ground: Ground, changes: Sequence[EventChange], margin: int) -> tuple[Ground, int]:
    """The ground without the events there are before any incident, nor the ``margin`` rows around each; and how many
    events these were: what is found elsewhere is found because of the incidents."""
    step = ground.frame.step
    last = {change.event.id: change.event for change in changes}
    spans = [
        (event.start - margin * step, None if event.end is None else event.end + margin * step)
        for event in last.values()
    ]
    return dataclasses.replace(ground, frame=without(ground.frame, spans)), len(spans)


def tail_rows(stage: Stage) -> int:
    """Rows after an incident in which an event still belongs to it."""
    return stage.pipeline.monitor.events.confirm_rows + GRACE_STEPS


def judged(stage: Stage, rows: Pass, name: str) -> list[tuple[Incident, Trial]]:
    """What becomes of each incident of a pass, each played by itself, so that no event reaches from one to the next.

    An incident is found by the first event that opens from its start on. Where one is open before, it is no trial:
    nobody could say what was found.
    """
    step, start, names = stage.ground.frame.step, stage.ground.start, stage.ground.frame.names
    trials = []
    for number, incident in enumerate(rows.incidents):
        scene = stage.scene(rows.values, incident.start - _LEAD, incident.end + tail_rows(stage))
        changes = stage.play(scene, f"{name}/{number}")
        event = next((change.event for change in changes if change.change is Change.opened), None)
        delay = None if event is None else int((event.confirmed - start) // step) - incident.start
        if delay is not None and delay < 0:
            continue
        metrics = tuple(names[k] for k in incident.metrics)
        named = event is not None and any(one.metric in metrics for one in event.culprits[:TOP_CULPRITS])
        length = incident.end - incident.start
        trials.append((incident, Trial(incident.kind, metrics, length, round(incident.magnitude, 3), delay, named)))
    return trials
