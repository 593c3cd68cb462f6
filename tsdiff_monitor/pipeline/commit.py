"""Commits what a tick found in several groups, with the incidents that they are part of.

Where there is an incident, it and all these groups are one transaction: a crash leaves the whole of it, or nothing,
which is then found again. Otherwise each group is a transaction of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tsdiff_monitor.delivery.recipients import audience
from tsdiff_monitor.errors import StoreError, TsdiffError
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.grouping import Joined, join, own_name
from tsdiff_monitor.pipeline.annotate import linked
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.store.commits import PartsError
from tsdiff_monitor.store.records import GroupCommit
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.frame import Group, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.pipeline.tick import Pipeline

__all__ = ["Scored", "commit_together"]


@dataclasses.dataclass(frozen=True)
class Scored(GroupCommit):
    """What is to be committed of one group, of which ``rows`` were scored."""

    rows: int = 0


def commit_together(pipeline: Pipeline, found: Sequence[Scored], result: TickResult) -> None:
    """Commit each group, told of as itself or as part of an incident; the outcome is in ``result``.

    A group that cannot be committed is an error there and stops no other; it is scored again by the next tick, as all
    are when the store fails. Where a bug keeps incidents from being worked out, each group is told of by itself: many
    messages are better than none.
    """
    left = list(found)
    try:
        incidents, untold = _incidents(pipeline, left, result)
        while incidents:
            hears = audience(pipeline.monitor, pipeline.routes, pipeline.store, untold=untold)
            try:
                pipeline.store.commit_all(pipeline.name, left, incidents, hears)
            except PartsError as error:
                for group in [one.group for one in left if one.group in error.causes]:
                    _fail(pipeline, group, error.causes[group], result)
                left = [one for one in left if one.group not in error.causes]
                if None in error.causes:
                    result.errors.append(("incidents", unexpected(error.causes[None], monitor=pipeline.name)))
                    incidents, untold = [], set()
                else:  # an incident must not name those that are not there
                    incidents, untold = _incidents(pipeline, left, result)
            else:
                _count(left, result)
                result.changes.extend(incidents)
                return
    except StoreError as error:  # all of it is found again, and must not be told in pieces now
        result.errors.extend((group_name(one.group), error) for one in left)
        return
    hears = audience(pipeline.monitor, pipeline.routes, pipeline.store, untold=untold)
    for one in left:
        try:
            pipeline.store.commit(pipeline.name, one.group, one.last, one.tracker, one.changes, hears)
        except Exception as error:  # one group must not stop the others
            _fail(pipeline, one.group, error, result)
        else:
            _count([one], result)


def _incidents(
    pipeline: Pipeline, found: Sequence[Scored], result: TickResult
) -> tuple[list[EventChange], Collection[str]]:
    """Changes of incidents, and the keys of those that nobody is to be told of by themselves."""
    try:
        joined = _joined(pipeline, [change for one in found for change in one.changes])
        return [_detailed(pipeline, change, parts) for change, parts in joined.incidents], joined.untold
    except StoreError:
        raise
    except Exception as error:
        result.errors.append(("incidents", unexpected(error, monitor=pipeline.name)))
        return [], set()


def _count(committed: Sequence[Scored], result: TickResult) -> None:
    for one in committed:
        result.changes.extend(one.changes)
        result.rows += one.rows
        result.groups += one.last is not None


def _fail(pipeline: Pipeline, group: Group, error: Exception, result: TickResult) -> None:
    where = group_name(group)
    if not isinstance(error, TsdiffError):
        error = unexpected(error, monitor=pipeline.name, group=where)
    result.errors.append((where, error))


def _joined(pipeline: Pipeline, changes: Sequence[EventChange]) -> Joined:
    if not changes:
        return Joined()
    store = pipeline.store
    known = store.events(pipeline.name, start=min(change.event.start for change in changes))

    def sequence_of(incident: str) -> int:
        return max((change.sequence for change in store.changes(incident)), default=0)

    return join(changes, known, pipeline.monitor.events, pipeline.step, sequence_of)


def _detailed(pipeline: Pipeline, change: EventChange, parts: Sequence[EventChange]) -> EventChange:
    """With the picture of the member of these ``parts`` that is worst, and links of its own."""
    event = change.event
    worst = max(parts, key=lambda part: (part.event.peak, part.event.id), default=None)
    details = Details() if worst is None else worst.details
    snapshot = details.snapshot
    if snapshot is not None and worst is not None:
        place = own_name(worst.event.group, event.group)
        courses = (dataclasses.replace(one, metric=f"{place}: {one.metric}") for one in snapshot.courses)
        snapshot = dataclasses.replace(snapshot, courses=tuple(courses))
    links = linked(pipeline.monitor.links, event)
    return dataclasses.replace(change, details=dataclasses.replace(details, snapshot=snapshot, links=links))
