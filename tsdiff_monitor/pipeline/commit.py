"""The commit of a tick: all groups, the incidents that they are part of, and their deliveries in one transaction.

A crash leaves the whole of it, or nothing, which is then found again. A group that cannot be committed is left out and
stops no other; an incident never names a group that is not there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from tsdiff_monitor.delivery.recipients import Recipients
from tsdiff_monitor.errors import StoreError, TsdiffError
from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.events.grouping import Grouping, group_events, own_name
from tsdiff_monitor.pipeline.annotate import linked
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.store.commits import PartsError
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Annotate", "Committed", "Outcome", "commit_outcomes", "plan_commit", "recipients_of"]

Annotate = Callable[[Group, EventChange, bool], EventChange]
"""A change of a group with its details; the flag: with everything that a message shows, pictures included."""


@dataclass(frozen=True)
class Outcome(GroupCommit):
    """The part of a tick that concerns one group, of which ``rows`` were scored."""

    rows: int = 0


@dataclass
class Committed:
    """``outcomes`` and ``changes`` are stored; ``errors`` say what is not, and why."""

    outcomes: list[Outcome] = field(default_factory=list)
    changes: list[EventChange] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)


@dataclass(frozen=True)
class _History:
    """The stored events that matter to a tick's changes."""

    known: Sequence[Event]
    sequences: Mapping[str, int]
    notified: Mapping[str, Sequence[str]]


def recipients_of(monitor: Monitor) -> Recipients:
    """The recipients of the monitor's changes, by its ``notify``, routes and calendar."""
    entries = tuple(monitor.config.calendar.values())

    def is_quiet(group: Group, time: pd.Timestamp) -> bool:
        return bool(covered(entries, group, pd.DatetimeIndex([time]), "quiet")[0])

    return Recipients(monitor.config.notify, monitor.routes, is_quiet)


def commit_outcomes(
    monitor: Monitor,
    store: Store,
    outcomes: Sequence[Outcome],
    *,
    seen: Mapping[Group, pd.Timestamp] | None = None,
    written: Mapping[Group, pd.Timestamp] | None = None,
    annotate: Annotate = lambda _group, change, _full: change,
) -> Committed:
    """Commit each group, notified of by itself or as part of an incident. ``seen``: groups' newest rows with a value.

    A group that cannot be committed is an error and stops no other; it is scored again by the next tick, as all are
    when the store fails. Where a bug keeps incidents from being worked out, each group is notified of by itself: many
    messages are better than none.
    """
    left, done, grouped = list(outcomes), Committed(), True
    chosen = recipients_of(monitor)
    detailed: dict[tuple[str, bool], EventChange] = {}

    def details(group: Group, change: EventChange, full: bool) -> EventChange:
        key = (change.key, full)
        if key not in detailed:
            detailed[key] = annotate(group, change, full)
        return detailed[key]

    try:
        while True:
            history = _history(monitor, store, left)
            causes: dict[Group | None, Exception] = {}
            try:
                commit = plan_commit(monitor, left, history, chosen, grouped=grouped, annotate=details, seen=seen or {})
                store.commit_tick(dataclasses.replace(commit, written=written or {}))
            except PartsError as error:
                causes = dict(error.causes)
            else:
                break
            done.errors.extend(_failure(monitor, group, cause) for group, cause in causes.items())
            left = [one for one in left if one.group not in causes]
            grouped = grouped and None not in causes
    except StoreError as error:  # all of it is found again, and must not be sent in pieces now
        done.errors.extend((group_name(one.group), error) for one in left)
        return done
    done.outcomes = left
    done.changes = [change for part in commit.parts for change in part.changes] + list(commit.shared)
    return done


def plan_commit(
    monitor: Monitor,
    outcomes: Sequence[Outcome],
    history: _History,
    recipients: Recipients,
    *,
    grouped: bool = True,
    annotate: Annotate = lambda _group, change, _full: change,
    seen: Mapping[Group, pd.Timestamp],
) -> TickCommit:
    """Everything that a tick stores: the groups' changes, incidents (where ``grouped``), and who is notified of each.

    Raises :class:`PartsError` with the groups whose recipients cannot be worked out, and None for the incidents. Only
    changes that somebody is notified of, and the one that an incident shows, get everything that a message shows.
    """
    joined = _joined(monitor, outcomes, history) if grouped else Grouping()
    causes: dict[Group | None, Exception] = {}
    names: dict[str, tuple[str, ...]] = {}
    batches = [(one.group, list(one.changes)) for one in outcomes if one.changes]
    for group, changes in (*batches, (None, [change for change, _ in joined.incidents])):
        try:
            names |= recipients.of_all(changes, history.notified, joined.suppressed)
        except Exception as error:  # one group must not stop the others
            causes[group] = error
    if causes:
        raise PartsError(causes)
    shown = {_worst(parts) for change, parts in joined.incidents if names[change.key]}
    parts = [
        dataclasses.replace(
            one,
            changes=[
                annotate(one.group, change, bool(names[change.key]) or change.key in shown) for change in one.changes
            ],
        )
        for one in outcomes
    ]
    details = {change.key: change.details for part in parts for change in part.changes}
    incidents = [_incident(monitor, change, members, details) for change, members in joined.incidents]
    return TickCommit(monitor.name, parts, incidents, names, seen)


def _history(monitor: Monitor, store: Store, outcomes: Sequence[Outcome]) -> _History:
    changes = [change for one in outcomes for change in one.changes]
    if not changes:
        return _History((), {}, {})
    known = store.events(monitor.name, start=min(change.event.start for change in changes))
    incidents = [event.id for event in known if event.members]
    events = dict.fromkeys((*(change.event.id for change in changes), *incidents))
    return _History(known, store.sequences(incidents), store.notified(events))


def _joined(monitor: Monitor, outcomes: Sequence[Outcome], history: _History) -> Grouping:
    changes = [change for one in outcomes for change in one.changes]
    if not changes:
        return Grouping()
    try:
        return group_events(
            changes, history.known, monitor.config.events, monitor.step, lambda name: history.sequences.get(name, 0)
        )
    except Exception as error:
        raise PartsError({None: error}) from error


def _failure(monitor: Monitor, group: Group | None, error: Exception) -> tuple[str, TsdiffError]:
    where = "incidents" if group is None else group_name(group)
    names = {} if group is None else {"group": where}
    return where, known_error(error, monitor=monitor.name, **names)


def _worst(parts: Collection[EventChange]) -> str | None:
    """The key of the member's change that an incident shows."""
    worst = max(parts, key=lambda part: (part.event.peak, part.event.id), default=None)
    return None if worst is None else worst.key


def _incident(
    monitor: Monitor, change: EventChange, parts: Sequence[EventChange], details: Mapping[str, Details]
) -> EventChange:
    """With the picture of the worst of these members, and links of its own."""
    event, key = change.event, _worst(parts)
    own = Details() if key is None else details[key]
    snapshot = own.snapshot
    if snapshot is not None:
        group = next(part.event.group for part in parts if part.key == key)
        place = own_name(group, event.group)
        courses = (dataclasses.replace(one, metric=f"{place}: {one.metric}") for one in snapshot.courses)
        snapshot = dataclasses.replace(snapshot, courses=tuple(courses))
    links = linked(monitor.config.links, event)
    return dataclasses.replace(change, details=dataclasses.replace(own, snapshot=snapshot, links=links))
