"""The input of the report: every row that a replay scored, every event, and the rows around each event.

Shapes: T rows (time steps), K series. All times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from tsdiff_monitor.events.event import Event
from tsdiff_monitor.plugins import LabelledSpan
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["EventRows", "GroupReplay", "Replay", "event_end"]


@dataclass(frozen=True, eq=False)
class EventRows:
    """The rows around one event, with some context before and after it.

    The three parts cover the same rows. ``frame`` and ``expected`` may hold all of the group's series or only the
    culprits; the report draws those that it finds in both.
    """

    frame: Frame
    scores: Scores
    expected: Expected


@dataclass(frozen=True, eq=False)
class GroupReplay:
    """One group's share of a replay.

    ``incidents`` are the labelled ones, an empty tuple when the group is known to have none, and None when the
    source carries no labels. ``evidence`` is keyed by event id; an event without an entry is reported without charts.
    """

    group: Group
    frame: Frame
    scores: Scores
    events: tuple[Event, ...]
    incidents: tuple[LabelledSpan, ...] | None = None
    evidence: Mapping[str, EventRows] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Replay:
    """One monitor's history, sent through the production pipeline: rows ``start <= t < end`` of every group.

    ``config_text`` is shown to every reader of the report, so secrets must have been redacted. ``notes`` are sentences
    that the reader has to know.
    """

    title: str
    monitor: str
    alarms_per_week: float
    start: pd.Timestamp
    end: pd.Timestamp
    step: pd.Timedelta
    groups: tuple[GroupReplay, ...]
    config_text: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def weeks(self) -> float:
        """The span in weeks: the alarm rate is promised per monitor, however many groups it has."""
        return max((self.end - self.start) / pd.Timedelta(days=7), 0.0)


def event_end(event: Event, step: pd.Timedelta) -> pd.Timestamp:
    """The exclusive end of an event, or of what is known of an open one."""
    return event.last + step if event.end is None else event.end
