"""The plan of a tick: which rows to read, and from which row on each group is scored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.timeseries.frame import Group, floor_time

__all__ = ["TickPlan", "plan_tick"]


@dataclass(frozen=True)
class TickPlan:
    """Rows ``start <= t < end`` are scored, with ``context`` before them.

    ``due``: where each group that has been scored before goes on; groups that were left behind for long are before
    ``start``, and are read for themselves when they are back. ``since_by_group``: where others begin, ``start`` at the
    earliest.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    context: pd.Timedelta
    due: Mapping[Group, pd.Timestamp] = field(default_factory=dict)
    since_by_group: Mapping[Group, pd.Timestamp] = field(default_factory=dict)

    def first(self, group: Group) -> pd.Timestamp:
        """The first row to score of a group."""
        if group in self.due:
            return self.due[group]
        return max(self.since_by_group.get(group, self.start), self.start)


def plan_tick(
    monitor: Monitor,
    last_scored: Mapping[Group, pd.Timestamp],
    now: pd.Timestamp,
    *,
    context_rows: int,
    since: pd.Timestamp | None = None,
    since_by_group: Mapping[Group, pd.Timestamp] | None = None,
    again_from: Mapping[Group, pd.Timestamp] | None = None,
) -> TickPlan | None:
    """The plan of a tick at ``now``; None when no row is due.

    A group never scored begins at ``since``, by default one ``infer_every`` ago. Missed rows are caught up, at most
    ``max_catchup`` back unless ``since`` is given. Rows of a group from ``again_from`` on are scored once more: they
    may not have come to the writers.
    """
    step = monitor.step
    end = floor_time(now - monitor.offset, step)
    oldest = end - pd.Timedelta(monitor.max_catchup) if since is None else floor_time(since, step)
    again = again_from or {}
    due = {group: max(min(time + step, again.get(group, time + step)), oldest) for group, time in last_scored.items()}
    context = step * context_rows
    # A group that went away must not make every later tick read back to its last row: the others say what to read.
    recent = max(due.values(), default=oldest) - context
    starts = [time for time in due.values() if time >= recent]
    if since is None:
        starts.append(end - max(pd.Timedelta(monitor.scheduler.infer_every), step))
    start = max(min(starts, default=oldest), oldest)
    return None if start >= end else TickPlan(start, end, context, due, since_by_group or {})
