"""Groups that stopped reporting: an event of their own, from the last row that held a value until the next one.

Only a source that answered, and answered whole, can say that a group is gone: where it could not, nothing is known.
What was read says so, not what was scored: a group whose model cannot be used reports all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import ABSENT, Change, Ending, Event, EventChange, Severity
from tsdiff_monitor.events.tracker import event_id
from tsdiff_monitor.frame import Frame, Group
from tsdiff_monitor.frame_edits import trimmed
from tsdiff_monitor.incidents_commit import Scored, commit_together
from tsdiff_monitor.results import TickResult

if TYPE_CHECKING:
    from tsdiff_monitor.pipeline import Pipeline

__all__ = ["newest_rows", "track_absences"]

_LEAST_ROWS = 3
"""Fewer empty rows may only be late."""


def newest_rows(frames: Mapping[Group, Frame]) -> dict[Group, pd.Timestamp]:
    """The newest row that holds a value, of each group that has one."""
    held = {group: trimmed(frame, head=False) for group, frame in frames.items()}
    return {group: frame.times[-1] for group, frame in held.items() if len(frame)}


def track_absences(pipeline: Pipeline, end: pd.Timestamp, result: TickResult) -> None:
    """Open, close and commit the events of groups that were scored before; ``end``: up to where the source was asked.

    An event opens when nothing came for ``absent_after`` (three rows at least) and ends with the next value, or after
    ``forget_after``, when the group is taken to be gone for good. It is told like any other; what was done is in
    ``result``.
    """
    monitor, store = pipeline.monitor, pipeline.store
    if monitor.absent_after is None:
        return
    patience = max(pd.Timedelta(monitor.absent_after), pipeline.step * _LEAST_ROWS)
    known_events = [event for event in store.events(pipeline.name, state="open") if not event.members]
    open_events = {event.group: event for event in known_events if event.kind == ABSENT}
    changes = []
    for group, last in store.last_seen(pipeline.name).items():
        silent_since, known = last + pipeline.step, open_events.get(group)
        silent = end - silent_since
        if known is not None and (known.start < silent_since or silent >= monitor.forget_after):
            over = known.start if known.start >= silent_since else last
            reason = Ending.back if known.start < silent_since else Ending.forgotten
            ended = dataclasses.replace(known, end=max(over, known.confirmed), last=end, reason=reason)
            changes.append(_change(pipeline, ended, Change.resolved))
        elif known is None and patience <= silent < monitor.forget_after and not _excluded(pipeline, group, end):
            changes.append(_change(pipeline, _opened(pipeline, group, silent_since, end), Change.opened))
    commit_together(pipeline, [Scored(change.event.group, [change]) for change in changes], result)


def _excluded(pipeline: Pipeline, group: Group, at: pd.Timestamp) -> bool:
    return bool(covered(pipeline.monitor.calendar.values(), group, pd.DatetimeIndex([at]), "exclude")[0])


def _opened(pipeline: Pipeline, group: Group, since: pd.Timestamp, now: pd.Timestamp) -> Event:
    return Event(
        id=event_id(f"{pipeline.name}/absent", group, since),
        monitor=pipeline.name,
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


def _change(pipeline: Pipeline, event: Event, what: Change) -> EventChange:
    from tsdiff_monitor.change_details import linked

    return EventChange(
        what, event, 1 if what is Change.opened else 2, Details(links=linked(pipeline.monitor.links, event))
    )
