"""Groups that stopped reporting: an event of their own, from the last row that held a value until the next one. Pure.

Only a complete answer of the source shows that a group is gone: without one, nothing is known. A
group that reports but cannot be scored is not absent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from tsdiff_monitor.events.event import ABSENT, Change, Event, EventChange, ResolveReason, Severity
from tsdiff_monitor.events.tracker import event_id
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["absences"]

_LEAST_ROWS = 3
"""Fewer empty rows may only be late."""


def absences(
    monitor: str,
    last_seen: Mapping[Group, pd.Timestamp],
    open_events: Iterable[Event],
    *,
    end: pd.Timestamp,
    step: pd.Timedelta,
    absent_after: pd.Timedelta,
    forget_after: pd.Timedelta,
    is_excluded: Callable[[Group], bool] = lambda _group: False,
) -> list[EventChange]:
    """The changes of the groups' absences, given each group's newest row with a value.

    ``open_events``: the monitor's open events of any kind; ``end``: up to where the source was asked. An event opens
    when nothing came for ``absent_after`` (three rows at least), unless the group ``is_excluded`` then, and ends with
    the next value, or after ``forget_after``, when the group is taken to be gone for good.
    """
    patience = max(absent_after, step * _LEAST_ROWS)
    known = {event.group: event for event in open_events if event.kind == ABSENT and not event.members}
    changes = []
    for group, last in last_seen.items():
        silent_since, event = last + step, known.get(group)
        silent = end - silent_since
        if event is not None and (event.start < silent_since or silent >= forget_after):
            over = event.start if event.start >= silent_since else last
            reason = ResolveReason.returned if event.start < silent_since else ResolveReason.expired
            ended = dataclasses.replace(event, end=max(over, event.confirmed), last=end, reason=reason)
            changes.append(EventChange(Change.resolved, ended, 2))
        elif event is None and patience <= silent < forget_after and not is_excluded(group):
            changes.append(EventChange(Change.opened, _opened(monitor, group, silent_since, end), 1))
    return changes


def _opened(monitor: str, group: Group, since: pd.Timestamp, now: pd.Timestamp) -> Event:
    return Event(
        id=event_id(f"{monitor}/absent", group, since),
        monitor=monitor,
        group=group,
        start=since,
        confirmed=now,
        last=now,
        end=None,
        peak=0.0,
        peak_time=since,
        severity=Severity.warning,
        culprits=(),
        kind=ABSENT,
    )
