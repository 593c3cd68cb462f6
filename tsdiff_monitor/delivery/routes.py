"""Routes: the recipients of an event, by monitor, labels, severity and time of day.

All routes that match count; their order does not matter. Those notified that an event is open are always notified of
its end, at any hour and however the routes have changed since: ``notified`` names them. Hence no recipient is left with
an alarm that never ends, or gets the end of an event whose beginning it never got.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from tsdiff_monitor.events.event import Change, EventChange, Severity
from tsdiff_monitor.settings.fields import Names, TimeZone
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Hours", "Route", "routed"]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)"

Hours = tuple[time, time]
"""From the first (included) to the second (not included); midnight as the second is the end of the day."""


def _hours(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(_HOURS, value.strip(), re.ASCII)
    if match is None:
        raise ValueError('must be two times of day; write them like "08:00-18:00", or "18:00-08:00" for the night')
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3] or 0), int(match[4] or 0))
    if begin == end:
        raise ValueError("begins where it ends; leave it out for the whole day")
    return begin, end


_HoursField = Annotated[
    Hours,
    BeforeValidator(_hours),
    PlainSerializer(lambda hours: f"{hours[0]:%H:%M}-{hours[1]:%H:%M}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_HOURS}$", "examples": ["08:00-18:00", "18:00-08:00"]}),
]


class Route(StrictModel):
    """Notifies of the events that meet all of its conditions; one that is left out is met by every event."""

    notifiers: Annotated[Names, Field(min_length=1)]
    """Names of the notifiers that get the events."""
    monitors: tuple[str, ...] = ()
    """Monitors whose events count, by name or pattern (`web-*`); those after `!` do not (`!web-test`)."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Values or patterns for labels of the group, like `{zone: "eu-*", env: "!dev"}`. A label that is not there is
    empty: `""` asks for its absence, `"!"` for its presence."""
    min_severity: Severity = Severity.info
    """The least severity that counts; an event that becomes worse counts from then on."""
    hours: _HoursField | None = None
    """The time of day at which to send openings and updates, like `"08:00-18:00"`, or `"18:00-08:00"` overnight."""
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1)] = _WEEKDAYS
    """The days on which to do so, `mon` to `sun`; a night belongs to the day on which it begins."""
    tz: TimeZone = "UTC"
    """The time zone of `hours` and `weekdays`, like `Europe/Berlin`."""
    updates: bool = True
    """Send updates also to those who know of the event. Its end is always sent to them."""

    def matches(self, change: EventChange, at: pd.Timestamp) -> bool:
        """True if the event, as it is by now, meets the conditions at the time ``at``."""
        event, group = change.event, dict(change.event.group)
        return (
            event.severity.rank >= self.min_severity.rank
            and _one_of(self.monitors, event.monitor)
            and all(_fits(pattern, group.get(label, "")) for label, pattern in self.labels.items())
            and self._is_open(at)
        )

    def _is_open(self, at: pd.Timestamp) -> bool:
        local: datetime = at.tz_convert(ZoneInfo(self.tz)).to_pydatetime(warn=False)
        day, now = local.date(), local.time()
        if self.hours is not None:
            begin, end = self.hours
            overnight = end <= begin and end != time(0)
            if overnight and now < end:
                day -= timedelta(days=1)
            elif now < begin or not (overnight or end == time(0) or now < end):
                return False
        return _WEEKDAYS[day.weekday()] in self.weekdays


def routed(
    routes: Sequence[Route], change: EventChange, at: pd.Timestamp, notified: Collection[str] = ()
) -> tuple[str, ...]:
    """The recipients of ``change`` at the time ``at``; ``notified``: those who know that the event is open.

    An event that opens again after its end counts as new: ``notified`` is then empty.

    - An end: those who were notified, no one else.
    - An opening or update: those with a matching route who do not know of the event yet, also when it is an update
      that made it match (it became worse, or the hours began), and those who know of it and have a matching route that
      wants updates.

    Pure: the same arguments give the same names, in the order of the routes.
    """
    if change.change is Change.resolved:
        known = _unique(name for route in routes for name in route.notifiers if name in notified)
        return (*known, *sorted(set(notified) - set(known)))
    opening = change.change is Change.opened
    return _unique(
        name
        for route in routes
        if route.matches(change, at)
        for name in route.notifiers
        if opening or route.updates or name not in notified
    )


def _fits(pattern: str, value: str) -> bool:
    negated = pattern.startswith("!")
    return fnmatchcase(value, pattern[negated:]) is not negated


def _one_of(patterns: Sequence[str], value: str) -> bool:
    """True if one of the patterns fits, or there is none, and none of those after ``!`` fits."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = any(not _fits(pattern, value) for pattern in patterns if pattern.startswith("!"))
    return not refused and (not wanted or any(fnmatchcase(value, pattern) for pattern in wanted))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
