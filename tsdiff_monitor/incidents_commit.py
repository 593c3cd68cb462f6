"""Commits what a tick found in several groups, with the incidents that they are part of.

An incident's change is committed in one transaction with the first group of the tick that can be committed, members
that follow included. A crash in between loses nothing: the rest is found again, and belongs to the incident already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from tsdiff_monitor.change_details import linked
from tsdiff_monitor.delivery.audience import audience
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.frame import Group, group_name
from tsdiff_monitor.incidents import Joined, join, own_name
from tsdiff_monitor.results import TickResult
from tsdiff_monitor.unexpected import unexpected

if TYPE_CHECKING:
    from tsdiff_monitor.pipeline import Pipeline

__all__ = ["Scored", "commit_together"]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What is to be committed of one group: ``rows`` scored up to ``last``, the event logic's memory, the changes.

    None for ``last`` and ``tracker``: what is stored stays.
    """

    group: Group
    changes: Sequence[EventChange]
    last: pd.Timestamp | None = None
    tracker: dict[str, Any] | None = None
    rows: int = 0


def commit_together(pipeline: Pipeline, found: Sequence[Scored], result: TickResult) -> None:
    """Commit each group, told of as itself or as part of an incident; the outcome is in ``result``.

    A group that cannot be committed is an error there and stops no other; it is scored again by the next tick. Where
    incidents cannot be worked out, each group is told of by itself.
    """
    joined, waiting = Joined(), list[EventChange]()
    try:
        joined = _joined(pipeline, [change for one in found for change in one.changes])
        waiting = [_detailed(pipeline, change, parts) for change, parts in joined.incidents]
    except Exception as error:  # many messages are better than none
        joined = Joined()
        result.errors.append(("incidents", unexpected(error, monitor=pipeline.name)))
    hears = audience(pipeline.monitor, pipeline.routes, pipeline.store, untold=joined.untold)
    for one in found:
        changes = [*one.changes, *waiting]
        try:
            pipeline.store.commit(pipeline.name, one.group, one.last, one.tracker, changes, hears)
        except TsdiffError as error:
            result.errors.append((group_name(one.group), error))
            continue
        except Exception as error:  # a bug in one group must not stop the others
            where = group_name(one.group)
            result.errors.append((where, unexpected(error, monitor=pipeline.name, group=where)))
            continue
        waiting = []
        result.changes.extend(changes)
        result.rows += one.rows
        result.groups += one.last is not None


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
