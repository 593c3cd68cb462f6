"""Who is told of a change: the monitor's notifiers and those of routes that match, in times that are not quiet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.delivery.routes import Route, routed
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.event import Change, EventChange

if TYPE_CHECKING:
    from tsdiff_monitor.store.store import Store

__all__ = ["audience"]


def audience(
    monitor: MonitorConfig, routes: Sequence[Route], store: Store, *, untold: Collection[str] = ()
) -> Callable[[EventChange], tuple[str, ...]]:
    """From a change to the names of the notifiers that are to hear of it; of those with keys in ``untold`` nobody does.

    In a quiet time nobody hears of an opening or an update; an event that outlasts it is told with its next update. Of
    an end hears who was told of the event, whatever the time, and nobody else. Of an incident hears who would hear of
    any of its members, were it as severe.
    """

    def hears(change: EventChange) -> tuple[str, ...]:
        event = change.event
        told = store.notified_of(event.id)
        if change.change is Change.resolved:
            return told
        if change.key in untold:
            return ()
        names: dict[str, None] = {}
        for group in dict.fromkeys(member.group for member in event.members) or (event.group,):
            if not covered(monitor.calendar.values(), group, pd.DatetimeIndex([event.last]), "quiet")[0]:
                own = dataclasses.replace(change, event=dataclasses.replace(event, group=group))
                names |= dict.fromkeys((*monitor.notify, *routed(routes, own, event.last, told)))
        return tuple(names)

    return hears
