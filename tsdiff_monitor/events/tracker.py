"""The event logic: scores in, changes of events out. No clock, no I/O; time is what the rows say.

The life of an event is described in ``docs/events.md``. Rows may arrive in chunks of any size, with the state saved
and restored in between: the changes are the same.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.severity import severity_of
from tsdiff_monitor.events.state import KEPT_METRICS, Incident, Row, TrackerState, largest
from tsdiff_monitor.frame import Group
from tsdiff_monitor.scores import Scores

__all__ = ["CULPRITS", "EventTracker", "Explain", "event_id"]

CULPRITS = 5
"""Culprits that an event names at most."""
_ALARM = 1.0
_SCORE_LIMIT = 1e6  # keeps an infinite score out of JSON and out of the weighted attribution

Explain = Callable[[pd.Timestamp, Sequence[str]], Mapping[str, tuple[float, float, float, float]]]
"""``(time, metric names)`` to ``{name: (actual, expected, lower, upper)}``; NaN or left out where unknown."""


def event_id(monitor: str, group: Group, start: pd.Timestamp) -> str:
    """16 hex digits that depend on nothing but the arguments: the same data always yields the same id."""
    text = json.dumps([monitor, [list(label) for label in group], start.as_unit("ns").value])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class EventTracker:
    """Turns the scores of one group of one monitor into changes of events."""

    def __init__(self, policy: EventPolicy, monitor: str, group: Group, state: TrackerState) -> None:
        self._policy = policy
        self._monitor = monitor
        self._group = group
        self._state = state
        self._update_every = pd.Timedelta(policy.update_every).as_unit("ns").value
        self._cooldown = pd.Timedelta(policy.cooldown).as_unit("ns").value

    @property
    def state(self) -> TrackerState:
        """What to save; a tracker built with it goes on where this one stands."""
        return self._state

    def advance(self, scores: Scores, explain: Explain) -> list[EventChange]:
        """Take rows in time order and return what changed, oldest first.

        Rows not newer than the newest row seen are ignored, so that replaying some changes nothing. ``explain`` is
        asked only about peaks among the rows of this very call, while their data is at hand. When it raises, the
        state stays as it was.
        """
        state = copy.deepcopy(self._state)
        changes = []
        for row in self._rows(scores, state.last):
            state.last = row.time
            change = self._step(state, row)
            if change is not None:
                assert state.incident is not None
                _explain(state.incident.peak, explain)
                changes.append(self._report(state.incident, change, row.time))
        peaks = _possible_peaks(state)
        for row in peaks:
            _explain(row, explain)
        for row in state.rise:
            if row not in peaks:
                row.explained = None  # overtaken: what is saved must not depend on where chunks ended
        self._state = state
        return changes

    def _rows(self, scores: Scores, last: int | None) -> Iterator[Row]:
        """The rows after ``last``; attributions only where the score is above ``trace_back``."""
        names = [series.name for series in scores.series]
        by_name = sorted(range(len(names)), key=names.__getitem__)
        for i, time in enumerate(scores.times.as_unit("ns").asi8.tolist()):
            if last is not None and time <= last:
                continue
            last, score = time, float(scores.score[i])
            if math.isnan(score):
                yield Row(time, None)
            elif score <= self._policy.trace_back:
                yield Row(time, score)
            else:
                attribution = np.nan_to_num(scores.attribution[i][by_name], posinf=0.0)
                order = np.argsort(-attribution, kind="stable")[:KEPT_METRICS]  # stable: ties stay sorted by name
                shares = {names[by_name[k]]: float(attribution[k]) for k in order}
                yield Row(time, min(score, _SCORE_LIMIT), shares)

    def _step(self, state: TrackerState, row: Row) -> Change | None:
        incident = state.incident
        if incident is not None:
            incident.rows += 1
            if incident.end is None:
                return self._continue(incident, row)
        state.rise.append(row)
        rise = self._confirmed(state.rise)
        if rise is None:
            state.rise = self._unconfirmed(state.rise)
            earliest = state.rise[0].time if state.rise else row.time
            if incident is not None and incident.end is not None and earliest - incident.end > self._cooldown:
                state.incident = None
            return None
        state.rise = []
        if incident is not None and incident.end is not None and rise[0].time - incident.end <= self._cooldown:
            change = Change.updated
            incident.end = incident.calm_since = None
            incident.calm_rows = 0
        else:
            change = Change.opened
            start = pd.Timestamp(rise[0].time, tz="UTC")
            name = event_id(self._monitor, self._group, start)
            incident = Incident(name, rise[0].time, row.time, peak=rise[0], rows=len(rise))
        for risen in rise:
            if self._is_rising(risen):
                incident.add(risen)
        _raise_severity(incident)
        state.incident = incident
        return change

    def _continue(self, incident: Incident, row: Row) -> Change | None:
        """One more row of an open event."""
        if row.score is None:
            return None
        if self._is_rising(row):
            incident.add(row)
        worse = False
        if row.score < self._policy.resolve_below:
            incident.calm_rows += 1
            if incident.calm_since is None:
                incident.calm_since = row.time
            if incident.calm_rows >= self._policy.resolve_rows:
                incident.end = incident.calm_since
                return Change.resolved
        else:
            incident.calm_rows, incident.calm_since = 0, None
            worse = _raise_severity(incident)  # not on calm rows: waiting for the end makes nothing worse
        return Change.updated if worse or row.time - incident.reported >= self._update_every else None

    def _is_rising(self, row: Row) -> bool:
        return row.score is not None and row.score > self._policy.trace_back

    def _rise_start(self, rows: list[Row], end: int) -> int:
        """The first row of the contiguous rise that ends before row ``end``; ``end`` itself where there is none."""
        first = end
        for i in range(end - 1, -1, -1):
            if self._is_rising(rows[i]):
                first = i
            elif rows[i].score is not None:  # a row without a verdict neither breaks a rise nor starts one
                break
        return first

    def _confirmed(self, rows: list[Row]) -> list[Row] | None:
        """The rows from the traced start to the newest one, if that one confirms an event."""
        window = range(max(len(rows) - self._policy.confirm_rows - 1, 0), len(rows))
        high = [i for i in window if _is_high(rows[i])]
        if len(high) < self._policy.confirm_rows or not _is_high(rows[-1]):
            return None
        start = max(self._rise_start(rows, high[0] + 1), len(rows) - 1 - self._policy.trace_back_rows)
        while not self._is_rising(rows[start]):
            start += 1
        return rows[start:]

    def _unconfirmed(self, rows: list[Row]) -> list[Row]:
        """The rows that a later confirmation may trace back to: none after a calm row with no high one before it."""
        recent = range(max(len(rows) - self._policy.confirm_rows, 0), len(rows))
        anchor = next((i + 1 for i in recent if _is_high(rows[i])), len(rows))
        first = self._rise_start(rows, anchor)
        first = max(first, len(rows) - max(self._policy.trace_back_rows, self._policy.confirm_rows))
        while first < len(rows) and not self._is_rising(rows[first]):
            first += 1
        return rows[first:]

    def _report(self, incident: Incident, change: Change, last: int) -> EventChange:
        incident.sequence += 1
        incident.reported = last
        peak = incident.peak
        assert peak.score is not None and peak.explained is not None
        culprits = []
        for name in largest(incident.weights, CULPRITS):
            if incident.weights[name] > 0:
                values = peak.explained.get(name, (None, None, None, None))
                culprits.append(Culprit(name, incident.weights[name] / incident.weight, *values))
        event = Event(
            id=incident.id,
            monitor=self._monitor,
            group=self._group,
            start=pd.Timestamp(incident.start, tz="UTC"),
            confirmed=pd.Timestamp(incident.confirmed, tz="UTC"),
            last=pd.Timestamp(last, tz="UTC"),
            end=None if incident.end is None else pd.Timestamp(incident.end, tz="UTC"),
            peak=peak.score,
            peak_time=pd.Timestamp(peak.time, tz="UTC"),
            severity=incident.severity,
            culprits=tuple(culprits),
        )
        return EventChange(change, event, incident.sequence)


def _is_high(row: Row) -> bool:
    return row.score is not None and row.score > _ALARM


def _raise_severity(incident: Incident) -> bool:
    """Whether the severity rose; it never falls during an event."""
    assert incident.peak.score is not None
    now = severity_of(incident.peak.score, incident.rows)
    if now.rank <= incident.severity.rank:
        return False
    incident.severity = now
    return True


def _possible_peaks(state: TrackerState) -> list[Row]:
    """The rows whose explanation may be asked for later, when their data is no longer at hand."""
    peaks = [] if state.incident is None else [state.incident.peak]
    highest = _ALARM
    for row in reversed(state.rise):
        if row.score is not None and row.score > _ALARM and row.score >= highest:
            highest = row.score
            peaks.append(row)
    return peaks


def _explain(row: Row, explain: Explain) -> None:
    """Fill in a row's explanation once. The metrics asked for depend on that row alone, hence not on the chunks."""
    if row.explained is None:
        found = explain(pd.Timestamp(row.time, tz="UTC"), row.names)
        row.explained = {name: _finite(found[name]) for name in row.names if name in found}


def _finite(
    values: tuple[float, float, float, float],
) -> tuple[float | None, float | None, float | None, float | None]:
    actual, expected, lower, upper = (float(value) if math.isfinite(value) else None for value in values)
    return actual, expected, lower, upper
