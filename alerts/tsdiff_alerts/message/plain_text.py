"""A message as plain text: for mails, annotations, and other places for text only."""

from __future__ import annotations

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    culprit_text,
    headline,
    link_items,
    rate_text,
    share_text,
    shorten,
    span_text,
    sureness_text,
    top_culprits,
)
from tsdiff_monitor.events.event import Culprit, EventChange

__all__ = ["culprit_line", "plain_text", "title_text"]

_TITLE = 200
_METRIC = 120


def title_text(change: EventChange) -> str:
    """The group and its state in one line of at most 200 characters."""
    return shorten(headline(change), _TITLE)


def culprit_line(culprit: Culprit) -> str:
    """``cpu: 93.1, expected 41.2–55 (62 %)``."""
    return f"{shorten(culprit.metric, _METRIC)}: {culprit_text(culprit)} ({share_text(culprit)})"


def plain_text(change: EventChange, *, title: bool = True) -> str:
    """The message in lines: what (left out without ``title``), when, how sure, culprits, what explains it, links."""
    event = change.event
    span = span_text(event)
    lines = [title_text(change)] if title else []
    lines += [f"{span[:1].upper()}{span[1:]}.", f"Severity {event.severity.value}; {sureness_text(event)}."]
    named, left = top_culprits(event)
    if named:
        lines += ["", "What departed most, at the peak, with its share of the score:"]
        lines += [f"  {culprit_line(culprit)}" for culprit in named]
        lines += [f"  and {left} more"] if left else []
    explained = explanation_text(event)
    lines += ["", explained] if explained else []
    rate = rate_text(change.details)
    links = [f"{name}: {address}" for name, address in link_items(change.details)]
    for block in ([rate] if rate else [], links):
        lines += ["", *block] if block else []
    return "\n".join(lines)
