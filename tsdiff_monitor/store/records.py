"""What the store hands out, besides events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from tsdiff_monitor.events.event import EventChange

__all__ = ["Delivery", "Feedback", "GroupState", "Undelivered"]


@dataclass(frozen=True)
class GroupState:
    """Where a group stands: the newest row scored and the event logic's memory; both None for a new group."""

    last_scored: pd.Timestamp | None
    tracker_json: dict[str, Any] | None


@dataclass(frozen=True)
class Delivery:
    """One change that one notifier is to be told. ``created`` and ``next_attempt`` are Unix seconds."""

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


@dataclass(frozen=True)
class Feedback:
    """What somebody said about an event: ``real``, ``false`` or ``expected``. ``given`` is in Unix seconds."""

    verdict: str
    note: str
    given: float

    @property
    def is_incident(self) -> bool:
        """Whether its rows are no example of how things usually are."""
        return self.verdict == "real"
