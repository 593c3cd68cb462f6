"""Scoring of a tick's rows: tasks in, scores or failures out, one by one here and together in ``pipeline/batch.py``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.pipeline.detectors import ModelRef, Models
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.scores import Scores
from tsdiff_monitor.timeseries.selection import align_metrics, strip_empty_rows

__all__ = ["Failed", "LocalScorer", "ScoreTask", "Scored", "Scorer", "failed", "make_tasks"]


@dataclass(frozen=True, eq=False)
class ScoreTask:
    """The rows of one group to score: those of ``frame`` (in the model's metrics) from row ``first`` on."""

    group: Group
    frame: Frame
    first: int
    model: ModelRef
    alarms_per_week: float
    rules: Mapping[str, Rule]


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of a task's rows."""

    task: ScoreTask
    scores: Scores


@dataclass(frozen=True)
class Failed:
    """A group that could not be scored."""

    group: Group
    error: TsdiffError


class Scorer(Protocol):
    """Scores many groups; a failing group never stops the others."""

    def score(self, tasks: Sequence[ScoreTask]) -> Iterable[Scored | Failed]:
        """One result for each task, in the order of the tasks."""
        ...


@dataclass(frozen=True)
class LocalScorer:
    """Scores one group after the other in this process."""

    models: Models

    def score(self, tasks: Sequence[ScoreTask]) -> Iterator[Scored | Failed]:
        """One result for each task, in the order of the tasks."""
        for task in tasks:
            try:
                detector = task.model.resolve(self.models)
                scores = detector.score(
                    task.frame, first=task.first, alarms_per_week=task.alarms_per_week, rules=task.rules
                )
            except Exception as error:  # one group must not stop the others
                yield failed(task, error)
            else:
                yield Scored(task, scores)


def failed(task: ScoreTask, error: Exception) -> Failed:
    """The failure of a task; a bug becomes an internal error without its text."""
    return Failed(task.group, known_error(error, monitor=task.model.monitor, group=group_name(task.group)))


def make_tasks(
    monitor: Monitor,
    models: Models,
    chosen: Mapping[Group, ModelRef],
    frames: Mapping[Group, Frame],
    firsts: Mapping[Group, pd.Timestamp],
    alarms_per_week: float,
) -> tuple[list[ScoreTask], list[Failed], list[str]]:
    """A task for each group with a row to score, the groups whose rows do not fit their model, and warnings.

    Metrics that the model does not know are left out; those that it misses are empty. The newest rows without any
    value are left for a later tick: their samples may only be late.
    """
    tasks, failures, warnings = list[ScoreTask](), list[Failed](), list[str]()
    for group, reference in chosen.items():
        try:
            frame, unmatched = align_metrics(frames[group], reference.resolve(models).names)
            frame = strip_empty_rows(frame, head=False)
            first = max(frame.row(firsts[group]), 0)
            task = ScoreTask(group, frame, first, reference, alarms_per_week, monitor.rules(frame.series))
        except Exception as error:  # one group must not stop the others
            failures.append(Failed(group, known_error(error, monitor=monitor.name, group=group_name(group))))
            continue
        warnings.extend(f"group {group_name(group)}: {text}" for text in unmatched)
        if first < len(frame):
            tasks.append(task)
    return tasks, failures, warnings
