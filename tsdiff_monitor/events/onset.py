"""The onset of an event: when its rise is confirmed, and where it began. Pure functions over rows."""

from __future__ import annotations

from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import Row

__all__ = ["ALARM", "confirmed", "is_high", "is_rising", "unconfirmed"]

ALARM = 1.0
"""A row whose score is above this is high."""


def is_high(row: Row) -> bool:
    """True if the row is anomalous; one without a verdict is not."""
    return row.score is not None and row.score > ALARM


def is_rising(row: Row, policy: EventPolicy) -> bool:
    """True if the row belongs to the rise to an event, or to the event."""
    return row.score is not None and row.score > policy.trace_back


def confirmed(rows: list[Row], policy: EventPolicy) -> list[Row] | None:
    """The rows from the traced start to the newest one, if that one confirms an event."""
    window = range(max(len(rows) - policy.confirm_rows - 1, 0), len(rows))
    high = [i for i in window if is_high(rows[i])]
    if len(high) < policy.confirm_rows or not is_high(rows[-1]):
        return None
    start = max(_start(rows, high[0] + 1, policy), len(rows) - 1 - policy.trace_back_rows)
    while not is_rising(rows[start], policy):
        start += 1
    return rows[start:]


def unconfirmed(rows: list[Row], policy: EventPolicy) -> list[Row]:
    """The rows that a later confirmation may trace back to: none after a calm row with no high one before it."""
    recent = range(max(len(rows) - policy.confirm_rows, 0), len(rows))
    anchor = next((i + 1 for i in recent if is_high(rows[i])), len(rows))
    first = _start(rows, anchor, policy)
    first = max(first, len(rows) - max(policy.trace_back_rows, policy.confirm_rows))
    while first < len(rows) and not is_rising(rows[first], policy):
        first += 1
    return rows[first:]


def _start(rows: list[Row], end: int, policy: EventPolicy) -> int:
    """The first row of the contiguous rise that ends before row ``end``; ``end`` itself where there is none."""
    first = end
    for i in range(end - 1, -1, -1):
        if is_rising(rows[i], policy):
            first = i
        elif rows[i].score is not None:  # a row without a verdict neither breaks a rise nor starts one
            break
    return first
