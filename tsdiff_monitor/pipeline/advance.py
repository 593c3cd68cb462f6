"""The middle of a tick: rows of groups with a detector are scored, followed by the event logic, and committed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.expected import expected_of_all
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.details import Details, Snapshot
from tsdiff_monitor.events.event import ABSENT, Event, EventChange
from tsdiff_monitor.pipeline.alarm_rate import seen_per_week
from tsdiff_monitor.pipeline.annotate import annotate, linked, snapshot
from tsdiff_monitor.pipeline.commit import Outcome, commit_outcomes
from tsdiff_monitor.pipeline.detectors import Models
from tsdiff_monitor.pipeline.explanations import ScoreRows, TimeBudget, explained
from tsdiff_monitor.pipeline.follow import Followed, follow
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.score import Failed, Scorer, ScoreTask
from tsdiff_monitor.scoring.rules import flagged, outside
from tsdiff_monitor.store.records import GroupState
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.scores import ScoreBatch, Scores

__all__ = ["Advanced", "advance", "batches"]


@dataclass
class Advanced:
    """``followed`` are the groups whose rows are committed; ``changes`` what was committed, absences and incidents
    included; ``errors`` the groups that were not, or parts of them."""

    followed: list[Followed] = field(default_factory=list)
    changes: list[EventChange] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows scored."""
        return sum(len(one.scores) for one in self.followed)


def advance(
    monitor: Monitor,
    tasks: Sequence[ScoreTask],
    *,
    models: Models,
    scorer: Scorer,
    store: Store,
    states: Mapping[Group, GroupState],
    also: Sequence[Outcome] = (),
    seen: Mapping[Group, pd.Timestamp] | None = None,
    written: Mapping[Group, pd.Timestamp] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Advanced:
    """Score the tasks, take the scores into events, and commit all of it with the outcomes ``also`` found.

    ``states``: what the groups' last rows left; ``seen``: groups' newest rows with a value; ``written``: the
    newest row of each group whose scores the writers have, None without writers; ``clock`` bounds the time
    for explanations. A group that fails is among the errors and stops no other.
    """
    done, budget = Advanced(), TimeBudget(clock)
    followed: dict[Group, Followed] = {}
    for outcome in scorer.score(tasks):
        if isinstance(outcome, Failed):
            done.errors.append((group_name(outcome.group), outcome.error))
            continue
        task = outcome.task
        state = states.get(task.group)
        try:
            detector = task.model.resolve(models)
            tracker = None if state is None else state.tracker_json
            one = follow(monitor, outcome, tracker, _excluded(monitor), detector)
        except Exception as error:  # one group must not stop the others
            done.errors.append(_failure(monitor, task.group, error))
            continue
        try:
            score = _score_rows(monitor, detector, task)
            changes = explained(detector, task.frame, one.changes, score, earlier=store.event, budget=budget)
            one = dataclasses.replace(one, changes=changes)
        except Exception as error:  # an event without an explanation is better than none
            done.errors.append(("explanation", _failure(monitor, task.group, error)[1]))
        followed[task.group] = one
    outcomes = [_outcome(one, states) for one in followed.values()] + list(also)
    details = _Details(monitor, models, store, followed, done.errors)
    if written is None:  # there is no writer
        written = {one.group: one.last for one in followed.values()}
    committed = commit_outcomes(monitor, store, outcomes, seen=seen, written=written, annotate=details)
    stored = {one.group for one in committed.outcomes if one.last is not None}
    done.followed = [one for group, one in followed.items() if group in stored]
    done.changes = committed.changes
    done.errors.extend(committed.errors)
    return done


def _outcome(one: Followed, states: Mapping[Group, GroupState]) -> Outcome:
    """The part of a group in the commit; rows that are scored again may end before the newest one scored."""
    scored = states[one.group].last_scored if one.group in states else None
    last = one.last if scored is None else max(one.last, scored)
    return Outcome(one.group, one.changes, last, one.tracker, one.rows.start - one.rows.step, len(one.scores))


def batches(
    monitor: Monitor, followed: Iterable[Followed], models: Models, errors: list[tuple[str, TsdiffError]]
) -> Iterator[ScoreBatch]:
    """The committed rows as writers get them, with expected values where the user asks for them."""
    for one in followed:
        task, expected = one.scored.task, None
        if monitor.config.provide_series:
            try:
                expected = expected_of_all(task.model.resolve(models), task.frame, first=task.first, read=1)
            except Exception as error:  # scores without a band are better than none
                errors.append(_failure(monitor, one.group, error))
        yield ScoreBatch(
            monitor.name, monitor.config.model, monitor.config.scheduler, one.group, one.rows, one.scores, expected
        )


def _score_rows(monitor: Monitor, detector: Detector, task: ScoreTask) -> ScoreRows:
    """Scores rows as those of the task were scored."""

    def score(rows: Frame, /, *, first: int = 0) -> Scores:
        scores = detector.score(rows, first=first, alarms_per_week=task.alarms_per_week, rules=task.rules)
        return flagged(scores, outside(monitor.ranges(rows.series), rows.values[first:]))

    return score


def _excluded(monitor: Monitor) -> Callable[[Group, pd.DatetimeIndex], np.ndarray]:
    entries = tuple(monitor.config.calendar.values())
    return lambda group, times: covered(entries, group, times, "exclude")


def _failure(monitor: Monitor, group: Group, error: Exception) -> tuple[str, TsdiffError]:
    where = group_name(group)
    return where, known_error(error, monitor=monitor.name, group=where)


@dataclass
class _Details:
    """Adds details to changes; a failure is among the ``errors``, and costs the details alone."""

    monitor: Monitor
    models: Models
    store: Store
    followed: Mapping[Group, Followed]
    errors: list[tuple[str, TsdiffError]]
    rates: dict[pd.Timestamp, float | None] = field(default_factory=dict)
    failed: set[Group] = field(default_factory=set)

    def __call__(self, group: Group, change: EventChange, full: bool) -> EventChange:
        config, one = self.monitor.config, self.followed.get(group)
        try:
            if one is None or change.event.kind == ABSENT:  # nothing of it was scored now
                return dataclasses.replace(change, details=Details(links=linked(config.links, change.event)))
            if not self.monitor.has_recipients:
                return change
            return annotate(
                change,
                self._snapshot(one, change.event) if full else None,
                links=config.links,
                allowed=config.alarms_per_week,
                seen=self._rate(change.event.last),
            )
        except Exception as error:  # a message without a picture is better than none
            if group not in self.failed:  # one report is enough
                self.failed.add(group)
                self.errors.append(("details", _failure(self.monitor, group, error)[1]))
            return change

    def _snapshot(self, one: Followed, event: Event) -> Snapshot | None:
        task = one.scored.task
        detector = task.model.resolve(self.models)
        return snapshot(detector, task.frame, one.scores, event, _score_rows(self.monitor, detector, task))

    def _rate(self, time: pd.Timestamp) -> float | None:
        """The alarm rate at a row, worked out once for all groups that changed with it."""
        if time not in self.rates:
            self.rates[time] = seen_per_week(self.store, self.monitor.name, time)
        return self.rates[time]
