"""Rules for when a run of high scores becomes an event, and when the event is over."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.fields import PositiveDuration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["EventPolicy"]


class EventPolicy(StrictModel):
    """The life cycle of an event, in the monitor's own rows (one row per ``step``)."""

    confirm_rows: int = Field(default=2, ge=1)
    """Rows with a score above 1, out of the last `confirm_rows` + 1, needed before an event opens."""
    resolve_rows: int = Field(default=5, ge=1)
    """Consecutive rows with a score below `resolve_below` needed before an event is resolved."""
    resolve_below: float = Field(default=0.8, gt=0, le=1)
    """The score an open event must fall below, less than 1 so that an event on the edge does not flap."""
    trace_back: float = Field(default=0.7, gt=0, le=1)
    """An event's start is traced back to the first row of the rise whose score exceeds this."""
    trace_back_rows: int = Field(default=15, ge=0)
    """Rows before the confirmation that the start may be traced back at most."""
    update_every: Duration = timedelta(minutes=30)
    """An open event is reported again at most this often, and at once when its severity rises."""
    cooldown: Duration = timedelta(minutes=10)
    """A new rise within this time after the end continues the old event instead of opening another."""
    adapt_after: PositiveDuration | None = timedelta(days=1)
    """An event whose score has stayed high but steady for so long is resolved: a new level; `null` never."""
    flap_limit: int | None = Field(default=3, ge=2)
    """An event that begins when so many have ended within `flap_window` stays open for longer; `null`: none does."""
    flap_window: PositiveDuration = timedelta(hours=3)
    """Time for which ends count; such an event is resolved after `flap_window` / `flap_limit` of calm."""
    incident_groups: int | None = Field(default=3, ge=2)
    """So many groups whose events are confirmed close together are one incident with one message; `null`: never."""
    incident_within: PositiveDuration = timedelta(minutes=5)
    """Longest time between these, two rows at least; later events join an incident for as long after its newest one."""
