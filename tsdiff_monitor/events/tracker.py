"""The event logic: scores in, changes of events out. No clock, no I/O; time is what the rows say.

The life of an event is described in ``docs/events.md``. Rows may arrive in chunks of any size, with the state saved
and restored in between: the changes are the same.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange, ResolveReason
from tsdiff_monitor.events.level_shift import Level
from tsdiff_monitor.events.onset import ALARM, confirmed, is_rising, unconfirmed
from tsdiff_monitor.events.peak_rows import Explain, explain_row, possible_peaks
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.severity import is_broad, severity_of
from tsdiff_monitor.events.state import KEPT_METRICS, OpenAlarm, Row, TrackerState, largest
from tsdiff_monitor.scoring.drift import Drift
from tsdiff_monitor.timeseries.frame import Group
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["CULPRITS", "EventTracker", "Explain", "event_id"]

CULPRITS = 5
"""Culprits that an event names at most."""
_SCORE_LIMIT = 1e6  # keeps an infinite score out of JSON and out of the weighted attribution


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
        self._update_every = _ns(policy.update_every)
        self._cooldown = _ns(policy.cooldown)
        self._quarter = None if policy.adapt_after is None else max(_ns(policy.adapt_after) // 4, 1)
        self._flap_window = _ns(policy.flap_window)

    @property
    def state(self) -> TrackerState:
        """The state to save; a tracker built with it goes on from here."""
        return self._state

    def advance(self, scores: Scores, explain: Explain) -> list[EventChange]:
        """Take rows in time order and return what changed, oldest first.

        Rows not newer than the newest row seen are ignored, so that replaying some changes nothing. ``explain`` is
        asked only about peaks among the rows of this very call, while their data is at hand. When it raises, the
        state stays as it was.
        """
        state = copy.deepcopy(self._state)
        if self._quarter is None:
            state.level = None
        if scores.normal is None or (state.drift is not None and not state.drift.is_of(scores.normal, scores.model)):
            state.drift = None  # another model
        if scores.normal is not None:
            state.drift = state.drift or Drift(scores.normal)
            state.drift.rescale(scores.normal, scores.model)  # the threshold may be another
        changes = []
        for row in self._rows(scores, state.last):
            state.last = row.time
            incident, change = self._step(state, row)
            if incident is not None and change is not None:
                explain_row(incident.peak, explain)
                changes.append(self._report(incident, change, row.time))
        peaks = possible_peaks(state)
        for row in peaks:
            explain_row(row, explain)
        for row in state.rise:
            if row not in peaks:
                row.explained = None  # overtaken: what is saved must not depend on where chunks ended
        self._state = state
        return changes

    def expire(self) -> list[EventChange]:
        """End the open event, if there is one, at the newest row seen: the group is taken to be gone for good."""
        state = copy.deepcopy(self._state)
        alarm = state.incident
        if alarm is None or alarm.end is not None or state.last is None:
            return []
        alarm.end, alarm.reason = max(state.last, alarm.confirmed), ResolveReason.expired
        state.incident, state.rise = None, []
        change = self._report(alarm, Change.resolved, state.last)
        self._state = state
        return [change]

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
                largest_first = {names[by_name[k]]: float(attribution[k]) for k in order}
                yield Row(time, min(score, _SCORE_LIMIT), largest_first, broad=is_broad(attribution))

    def _step(self, state: TrackerState, row: Row) -> tuple[OpenAlarm | None, Change | None]:
        """Take one row; gives the incident that it changed, and how."""
        self._follow(state, row)
        if state.ends and row.time - state.ends[-1] > self._flap_window:
            state.ends = []
        incident = state.incident
        if incident is not None:
            incident.rows += 1
            if incident.end is None:
                return incident, self._continue(state, incident, row)
        state.rise.append(row)
        rise = confirmed(state.rise, self._policy)
        if rise is None:
            state.rise = unconfirmed(state.rise, self._policy)
            earliest = state.rise[0].time if state.rise else row.time
            if incident is not None and incident.end is not None and earliest - incident.end > self._cooldown:
                state.incident = None
            return None, None
        state.rise = []
        if incident is not None and incident.end is not None and rise[0].time - incident.end <= self._cooldown:
            change = Change.updated
            incident.end = incident.calm_since = incident.reason = None
            incident.calm_rows = 0
        else:
            change = Change.opened
            start = pd.Timestamp(rise[0].time, tz="UTC")
            name = event_id(self._monitor, self._group, start)
            incident = OpenAlarm(name, rise[0].time, row.time, peak=rise[0], rows=len(rise))
        for risen in rise:
            if is_rising(risen, self._policy):
                incident.add(risen)
        incident.flapping = incident.flapping or self._is_flapping(state.ends, row.time)
        _raise_severity(incident)
        state.incident = incident
        if self._quarter is not None:
            state.level = state.level or Level(row.time)
            state.level.restart(row.time)
        return incident, change

    def _continue(self, state: TrackerState, incident: OpenAlarm, row: Row) -> Change | None:
        """One more row of an open event."""
        if row.score is None:
            return None
        if self._quarter is not None and state.level is not None and state.level.is_steady:
            state.level.settle()
            incident.end, incident.reason = row.time, ResolveReason.adapted
            incident.adapted_from = state.level.since - 4 * self._quarter
            state.incident = None  # a rise above the new level is another event
            return Change.resolved
        if is_rising(row, self._policy):
            incident.add(row)
        worse = False
        if row.score < self._policy.resolve_below:
            incident.calm_rows += 1
            if incident.calm_since is None:
                incident.calm_since = row.time
            if incident.calm_rows >= self._policy.resolve_rows and self._is_long(incident, row.time):
                incident.end, incident.reason = incident.calm_since, ResolveReason.calm
                state.ends = [*state.ends, incident.end][-(self._policy.flap_limit or 1) :]
                if state.level is not None and state.level.normal is None:
                    state.level = None
                return Change.resolved
        else:
            incident.calm_rows, incident.calm_since = 0, None
            worse = _raise_severity(incident)  # not on calm rows: waiting for the end makes nothing worse
        return Change.updated if worse or row.time - incident.reported >= self._update_every else None

    def _follow(self, state: TrackerState, row: Row) -> None:
        """Follow the level of the scores, and make the row's score relative to it."""
        is_open = state.incident is not None and state.incident.end is None
        if state.drift is not None and row.score is not None:
            absolute, row.score = row.score, state.drift.relative(row.time, row.score)
            if not is_open:
                state.drift.add(row.time, absolute)
        level, score = state.level, row.score
        if level is None or self._quarter is None or score is None:
            return
        level.move_to(row.time, self._quarter)
        rows, time = level.calm_for(row.time, is_calm=score < self._policy.resolve_below)
        if level.normal is not None and not is_open:
            level.lower()
            if level.normal <= ALARM or (rows >= self._policy.resolve_rows and time > self._cooldown):
                state.level = None  # learned, or gone
                return
        row.score = level.relative(score)
        level.add(score, is_busy=row.score >= self._policy.resolve_below)

    def _is_flapping(self, ends: Sequence[int], now: int) -> bool:
        """True if so many events ended of late that the next one is to stay open for longer."""
        limit = self._policy.flap_limit
        return limit is not None and sum(now - end <= self._flap_window for end in ends) >= limit

    def _is_long(self, incident: OpenAlarm, now: int) -> bool:
        """True unless the event flaps and has not been calm for long enough."""
        limit = self._policy.flap_limit
        if not incident.flapping or incident.calm_since is None or limit is None:
            return True
        return now - incident.calm_since >= self._flap_window // limit

    def _report(self, incident: OpenAlarm, change: Change, last: int) -> EventChange:
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
            reason=incident.reason,
            adapted_from=None if incident.adapted_from is None else pd.Timestamp(incident.adapted_from, tz="UTC"),
            flapping=incident.flapping,
        )
        return EventChange(change, event, incident.sequence)


def _ns(duration: timedelta) -> int:
    return int(pd.Timedelta(duration).as_unit("ns").value)


def _raise_severity(incident: OpenAlarm) -> bool:
    """Raise the severity, which never falls during an event; True if it rose."""
    assert incident.peak.score is not None
    now = severity_of(incident.peak.score, incident.rows, broad=incident.peak.broad)
    if now.rank <= incident.severity.rank:
        return False
    incident.severity = now
    return True
