"""The history that a group's model learns from: the rows read, without what must not pass for normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tsdiff_monitor.events.calendars import covered
from tsdiff_monitor.events.event import Event
from tsdiff_monitor.events.feedback import Feedback
from tsdiff_monitor.events.grouping import labelled_events
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.scoring.rules import outside
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.selection import mask_spans, masked, strip_empty_rows

__all__ = ["learnable", "stored_history"]


def stored_history(monitor: Monitor, store: Store, group: Group, frame: Frame) -> Frame:
    """:func:`learnable` by the events and the feedback in the store. Raises ``StoreError``."""
    events = store.events(monitor.name, start=frame.start, end=frame.end, group=group)
    return learnable(monitor, group, frame, events, store.feedback(monitor.name))


def learnable(
    monitor: Monitor, group: Group, frame: Frame, events: Sequence[Event], feedback: Mapping[str, Feedback]
) -> Frame:
    """The frame without rows inside known events or times of the calendar, values that cannot be right, and empty ends.

    Of an event that ended because its level became normal, the rows at that level are kept, unless a person called it
    real. The metrics come sorted, so that what is learned does not depend on the order in which the source gave them.
    """
    frame = frame.select(sorted(frame.names))
    calendar = covered(monitor.config.calendar.values(), group, frame.times, "quiet", "exclude")
    frame = masked(frame, outside(monitor.ranges(frame.series), frame.values) | calendar[:, None])
    known = labelled_events(feedback, events)
    unlearned = [one for one in events if one.group == group and (one.id not in known or known[one.id].is_incident)]
    spans = [(one.start, one.end if one.id in known else one.adapted_from or one.end) for one in unlearned]
    return strip_empty_rows(mask_spans(frame, spans))
