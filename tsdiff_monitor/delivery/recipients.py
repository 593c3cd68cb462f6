"""The notifiers that each change goes to: the monitor's own and those of matching routes, in times that are not quiet.

Pure: those notified before are an argument, and so is the calendar.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pandas as pd

from tsdiff_monitor.delivery.routes import Route, routed
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["Recipients"]


@dataclasses.dataclass(frozen=True)
class Recipients:
    """``notify``: the monitor's notifiers; ``is_quiet``: whether no notification of a group may go out at a time."""

    notify: Sequence[str] = ()
    routes: Sequence[Route] = ()
    is_quiet: Callable[[Group, pd.Timestamp], bool] = lambda _group, _time: False

    def of(self, change: EventChange, notified: Sequence[str] = ()) -> tuple[str, ...]:
        """The recipients of one change; ``notified``: who was notified of the event since it is open.

        A resolution goes to everyone who got the event, also in quiet times, and to no one else. An event that outlasts
        a quiet time is sent with its next update. An incident goes to the recipients of its members, at its own
        severity.
        """
        event = change.event
        if change.change is Change.resolved:
            return tuple(notified)
        names: dict[str, None] = {}
        for group in dict.fromkeys(member.group for member in event.members) or (event.group,):
            if not self.is_quiet(group, event.last):
                own = dataclasses.replace(change, event=dataclasses.replace(event, group=group))
                names |= dict.fromkeys((*self.notify, *routed(self.routes, own, event.last, notified)))
        return tuple(names)

    def of_all(
        self,
        changes: Iterable[EventChange],
        notified: Mapping[str, Sequence[str]],
        suppressed: Collection[str] = (),
    ) -> dict[str, tuple[str, ...]]:
        """By its key, the recipients of each of the ``changes`` that are committed together, in their order.

        ``notified``: by the id of an event, who was notified of it by commits before this one, since its last end.
        Changes whose keys are ``suppressed`` have no recipients, unless they are resolutions.
        """
        known = {event: tuple(names) for event, names in notified.items()}
        found: dict[str, tuple[str, ...]] = {}
        for change in changes:
            before = known.get(change.event.id, ())
            quiet = change.key in suppressed and change.change is not Change.resolved
            names = () if quiet else self.of(change, before)
            found[change.key] = names
            resolved = change.change is Change.resolved
            known[change.event.id] = () if resolved else tuple(dict.fromkeys((*before, *names)))
        return found
