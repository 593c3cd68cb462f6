"""Absences of a tick: groups of which nothing more is read, and what becomes of their events."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.events.absence import absences
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.pipeline.commit import Outcome
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.store.records import GroupState
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["track_absences"]


def track_absences(
    monitor: Monitor,
    store: Store,
    states: Mapping[Group, GroupState],
    seen: Mapping[Group, pd.Timestamp],
    end: pd.Timestamp,
) -> tuple[list[Outcome], list[tuple[str, TsdiffError]]]:
    """The changes of absences among groups that were scored before, the ends of the events of groups that are gone for
    good, and what failed. ``seen``: groups' newest rows with a value in this reading, which ends at ``end``.
    """
    config, forget_after = monitor.config, pd.Timedelta(monitor.config.forget_after)
    last_seen = {}
    for group, state in states.items():
        times = [time for time in (state.last_seen, state.last_scored, seen.get(group)) if time is not None]
        if state.last_scored is not None:
            last_seen[group] = max(times)
    at = pd.DatetimeIndex([end])
    found: list[Outcome] = []
    errors: list[tuple[str, TsdiffError]] = []
    try:
        for group, last in last_seen.items():
            if end - last - monitor.step >= forget_after:
                try:
                    found += _expired(monitor, group, states[group])
                except Exception as error:  # one group must not stop the others
                    errors.append((group_name(group), known_error(error, monitor=monitor.name)))
        if config.absent_after is not None:
            changes = absences(
                monitor.name,
                last_seen,
                store.events(monitor.name, state="open"),
                end=end,
                step=monitor.step,
                absent_after=pd.Timedelta(config.absent_after),
                forget_after=forget_after,
                is_excluded=lambda group: bool(covered(config.calendar.values(), group, at, "exclude")[0]),
            )
            found += [Outcome(change.event.group, [change]) for change in changes]
    except Exception as error:  # what was scored must be committed all the same
        errors.append(("absences", known_error(error, monitor=monitor.name)))
    return found, errors


def _expired(monitor: Monitor, group: Group, state: GroupState) -> list[Outcome]:
    """The end of the open event of a group that is gone for good, with the memory that it leaves."""
    memory = TrackerState.from_json(state.tracker_json)
    tracker = EventTracker(monitor.config.events, monitor.name, group, memory)
    changes = tracker.expire()
    return [Outcome(group, changes, None, tracker.state.to_json())] if changes else []
