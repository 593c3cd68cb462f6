"""Groups that fail together: one incident, sent instead of its members' own events. Pure, like the event logic.

An incident is an event with members, under an id of its own. Which changes belong together follows from the rows'
times alone, not from how many rows a run brings. Rules: ``docs/events.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby

import pandas as pd

from tsdiff_monitor.events.event import ABSENT, ANOMALY, Change, Culprit, Event, EventChange, Member
from tsdiff_monitor.events.feedback import Feedback
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.tracker import CULPRITS, event_id
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Grouping", "group_events", "labelled_events", "own_name"]


@dataclasses.dataclass
class Grouping:
    """Changes of incidents, each with those of its members' changes that it reports, and the keys of the changes that
    are not sent by themselves."""

    incidents: list[tuple[EventChange, list[EventChange]]] = dataclasses.field(default_factory=list)
    suppressed: set[str] = dataclasses.field(default_factory=set)


def group_events(
    changes: Collection[EventChange],
    known: Iterable[Event],
    policy: EventPolicy,
    step: pd.Timedelta,
    sequence_of: Callable[[str], int],
) -> Grouping:
    """Find the incidents in a monitor's new ``changes``, of all its groups.

    ``known``: the monitor's stored events and incidents that are open or overlap those of the changes;
    ``sequence_of``: the number of an incident's newest stored change. Committing only some of the changes and asking
    again with the rest gives the same incidents.
    """
    grouping = Grouping()
    within = max(pd.Timedelta(policy.incident_within), 2 * step)
    stored = {event.id: event for event in known}
    incidents = {event.id: event for event in stored.values() if event.members}
    events = {event.id: event for event in stored.values() if not event.members}
    of = {member.event: event.id for event in incidents.values() for member in event.members}
    sequences: dict[str, int] = {}
    coming = {change.event.id for change in changes}
    ordered = sorted(changes, key=lambda change: (change.event.last, change.event.group, change.sequence))
    for time, rows in groupby(ordered, key=lambda change: change.event.last):
        batch = list(rows)
        events |= {change.event.id: change.event for change in batch}
        coming -= events.keys()
        joining: dict[str, list[Event]] = {}
        if policy.incident_groups is not None:  # otherwise open incidents still come to their ends
            loose = _loose(events.values(), of, time - within, time)
            joining = _joining(incidents, events, loose, time - within, time)
            taken = {event.id for more in joining.values() for event in more}
            left = [event for event in loose if event.id not in taken]
            for kind in (ANOMALY, ABSENT):
                first = [event for event in left if event.kind == kind]
                if len({event.group for event in first}) >= policy.incident_groups:
                    begun = _begun(first, time)
                    incidents[begun.id], joining[begun.id] = begun, first
        of |= {event.id: name for name, more in joining.items() for event in more}
        for name in sorted({of[change.event.id] for change in batch if change.event.id in of} | set(joining)):
            reported = [change for change in batch if of.get(change.event.id) == name]
            before = incidents[name]
            after = _as_it_is(before, joining.get(name, []), events, time)
            if any(member.event in coming for member in after.members):
                after = dataclasses.replace(after, end=None, reason=None)
            change = _change(before, after, joined=name in joining, update_every=policy.update_every)
            if change is not None:
                incidents[name] = after
                sequences[name] = sequences.get(name, sequence_of(name)) + 1
                grouping.incidents.append((EventChange(change, after, sequences[name]), reported))
        grouping.suppressed |= {c.key for c in batch if c.event.id in of and c.change is not Change.resolved}
    return grouping


def labelled_events(feedback: Mapping[str, Feedback], events: Sequence[Event]) -> dict[str, Feedback]:
    """Feedback by the ids of events; that on an incident also holds for its members without feedback of their own."""
    of_members = {
        member.event: feedback[event.id] for event in events if event.id in feedback for member in event.members
    }
    return {**of_members, **feedback}


def _loose(events: Iterable[Event], of: Mapping[str, str], since: pd.Timestamp, until: pd.Timestamp) -> list[Event]:
    """Open events in no incident, confirmed from ``since`` to ``until``: replayed rows may see later ones."""
    return [event for event in events if event.end is None and event.id not in of and since < event.confirmed <= until]


def _joining(
    incidents: Mapping[str, Event],
    events: Mapping[str, Event],
    loose: Iterable[Event],
    since: pd.Timestamp,
    until: pd.Timestamp,
) -> dict[str, list[Event]]:
    """The ``loose`` events that each incident takes."""
    joining: dict[str, list[Event]] = {}
    for event in loose:
        place = next(
            (incident for incident in incidents.values() if _takes(incident, event, events, since, until)), None
        )
        if place is not None:
            joining.setdefault(place.id, []).append(event)
    return joining


def _takes(
    incident: Event, event: Event, events: Mapping[str, Event], since: pd.Timestamp, until: pd.Timestamp
) -> bool:
    """True if the event is of the incident: begun, not over, not long since its newest member, and the same labels.

    Members confirmed later than ``until`` do not count.
    """
    if incident.kind != event.kind or incident.end is not None or incident.confirmed > until:
        return False
    near = (events[member.event].confirmed for member in incident.members if member.event in events)
    return set(incident.group) <= set(event.group) and any(since < confirmed <= until for confirmed in near)


def _begun(events: Sequence[Event], time: pd.Timestamp) -> Event:
    """An incident of the events that is not reported yet: without members."""
    worst = max(events, key=lambda event: (event.peak, event.id))
    common = sorted(set.intersection(*(set(event.group) for event in events)))
    return dataclasses.replace(
        worst,
        id=event_id(f"{worst.monitor}/{worst.kind}/together", tuple(common), time),
        group=tuple(common),
        start=min(event.start for event in events),
        confirmed=time,
        flapping=False,
        explanation=None,
    )


def _as_it_is(incident: Event, joining: Sequence[Event], events: Mapping[str, Event], time: pd.Timestamp) -> Event:
    """The incident with more members, as they all are by now."""
    more = sorted((Member(event.id, event.group) for event in joining), key=lambda member: member.group)
    members = (*incident.members, *more)
    parts = [events[member.event] for member in members if member.event in events]
    peaks = [(part.peak, part.peak_time) for part in (incident, *parts)]
    peak, peak_time = max(peaks, key=lambda peak: (peak[0], -peak[1].value))
    over = all(part.end is not None for part in parts)
    last = max(parts, key=lambda part: (part.end or part.last, part.id))
    return dataclasses.replace(
        incident,
        members=members,
        start=min(part.start for part in (incident, *parts)),
        last=max(incident.last, time),
        end=max((part.end or part.last for part in parts), default=time) if over else None,
        reason=last.reason if over else None,
        peak=peak,
        peak_time=peak_time,
        severity=max((part.severity for part in (incident, *parts)), key=lambda severity: severity.rank),
        culprits=_culprits(parts, incident.group),
    )


def _culprits(parts: Sequence[Event], common: Group) -> tuple[Culprit, ...]:
    """The first culprit of each of the members with the highest peaks, under the name of its group."""
    worst = sorted(parts, key=lambda part: (-part.peak, part.group))
    culprits = [
        dataclasses.replace(part.culprits[0], metric=f"{own_name(part.group, common)}: {part.culprits[0].metric}")
        for part in worst
        if part.culprits
    ]
    return tuple(culprits[:CULPRITS])


def own_name(group: Group, common: Group) -> str:
    """A member's group without what all have in common."""
    return group_name(tuple(label for label in group if label not in common))


def _change(before: Event, after: Event, *, joined: bool, update_every: timedelta) -> Change | None:
    """The change to report of an incident, given its last reported state."""
    if not before.members:
        return Change.opened
    if after.end is not None:
        return Change.resolved if before.end is None else None
    if joined:
        return Change.updated
    if after.last == before.last:  # reported already: a crash came between it and its members
        return None
    worse = after.severity.rank > before.severity.rank
    if worse or before.end is not None or after.last - before.last >= update_every:
        return Change.updated
    return None
