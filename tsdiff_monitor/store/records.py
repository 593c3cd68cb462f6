"""Values that the store takes and hands out, besides events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["Delivery", "GroupCommit", "GroupState", "TickCommit", "Undelivered"]


@dataclass(frozen=True)
class GroupState:
    """A group's progress: the newest row scored, the event logic's memory, the newest row with a value that was
    read, and the newest one whose scores the writers have for sure; all None for a new group."""

    last_scored: pd.Timestamp | None
    tracker_json: dict[str, Any] | None
    last_seen: pd.Timestamp | None = None
    last_written: pd.Timestamp | None = None


@dataclass(frozen=True)
class GroupCommit:
    """The part of a commit that is of one group: the newest row scored, the event logic's memory, the changes.

    None for ``last`` and ``tracker``: what is stored stays.
    """

    group: Group
    changes: Sequence[EventChange]
    last: pd.Timestamp | None = None
    tracker: Mapping[str, Any] | None = None
    before: pd.Timestamp | None = None
    """The row before the first one scored: of a new group, up to where there is nothing to write."""


@dataclass(frozen=True)
class TickCommit:
    """Everything that one tick of a monitor leaves: ``parts`` of groups, changes of incidents that they ``share``.

    ``recipients``: by a change's key, the notifiers that it goes to. ``seen``: the newest row with a value of each
    group that was read. ``written``: of each group, the newest row whose scores the writers have.
    """

    monitor: str
    parts: Sequence[GroupCommit] = ()
    shared: Sequence[EventChange] = ()
    recipients: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seen: Mapping[Group, pd.Timestamp] = field(default_factory=dict)
    written: Mapping[Group, pd.Timestamp] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """One change that is to be delivered to one notifier. ``created`` and ``next_attempt`` are Unix seconds."""

    id: int
    notifier: str
    change: EventChange
    attempts: int
    created: float
    next_attempt: float


@dataclass(frozen=True)
class Undelivered:
    """A delivery that is still to be made, or was given up. Times are Unix seconds.

    ``overtaken``: the notifier has taken a later change of the same event.
    """

    id: int
    status: Literal["pending", "dead"]
    notifier: str
    change: EventChange
    attempts: int
    created: float
    next_attempt: float
    finished: float | None
    reason: str | None
    message: str | None
    overtaken: bool
