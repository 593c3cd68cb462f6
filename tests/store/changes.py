"""Changes of one group's events, and their way into a store."""

from __future__ import annotations

import pandas as pd

from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange, Severity
from tsdiff_monitor.store.store import Store

__all__ = ["GROUP", "MINUTE", "T0", "commit", "make_change"]

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
GROUP = (("instance", "web-1"), ("zone", "a"))


def make_change(sequence: int = 1, *, event: str = "a" * 16, start: int = 0, end: int | None = None) -> EventChange:
    """A change of an event that lasts from ``start`` to ``end``, in minutes after :data:`T0`."""
    begin = T0 + MINUTE * start
    finish = None if end is None else T0 + MINUTE * end
    culprit = Culprit("cpu", 0.7, 0.9, 0.2, 0.1, None)
    body = Event(
        event,
        "hosts",
        GROUP,
        begin,
        begin + MINUTE,
        finish or begin + MINUTE,
        finish,
        3.0,
        begin,
        Severity.warning,
        (culprit,),
    )
    kind = Change.opened if sequence == 1 else Change.updated if end is None else Change.resolved
    return EventChange(kind, body, sequence)


def commit(store: Store, *changes: EventChange, at: int = 0, notifiers: tuple[str, ...] = ("slack",)) -> None:
    """Commit the changes with rows scored up to ``at`` minutes after :data:`T0`."""
    store.commit("hosts", GROUP, T0 + MINUTE * at, {"at": at}, changes, notifiers)
