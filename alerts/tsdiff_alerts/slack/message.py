"""An event as a Slack message: Block Kit within its limits, and nothing in a label that Slack would act on.

Limits: https://docs.slack.dev/reference/block-kit/blocks (header 150 characters, section 3000, its fields 2000 each).
Escaping: https://docs.slack.dev/messaging/formatting-message-text#escaping

Labels and metric names come from elsewhere: they appear only as plain text or as inline code, where Slack formats
nothing, and with ``&``, ``<`` and ``>`` escaped, so that they can neither mention anybody nor pose as a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    culprit_text,
    duration_text,
    headline,
    link_items,
    rate_text,
    share_text,
    shorten,
    span_text,
    summary,
    sureness_text,
    time_text,
    top_culprits,
)
from tsdiff_monitor.events.event import Event, EventChange, Severity

__all__ = ["Message", "make_message", "news", "state_of"]

Block = dict[str, Any]

_HEADER, _TEXT, _NAME, _LINK, _LINKS = 150, 2900, 100, 2000, 5
_ICONS = {Severity.critical: "🔴", Severity.warning: "🟠", Severity.info: "🔵"}
_RESOLVED = "✅"
_EVENT_TYPE = "tsdiff_event"


@dataclass(frozen=True)
class Message:
    """A message's blocks, the text that stands for them in notifications, and what lets us know it again."""

    text: str
    blocks: list[Block]
    metadata: dict[str, Any]


def make_message(change: EventChange) -> Message:
    """The message about an event as it stands after ``change``."""
    event, details = change.event, change.details
    icon = _RESOLVED if event.end is not None else _ICONS[event.severity]
    title = _escape(f"{icon} {headline(change)}", _HEADER)
    facts = [("When", span_text(event)), ("Severity", event.severity.value), ("How sure", sureness_text(event))]
    title_of_rate, _, rate = (rate_text(details) or "").partition(": ")
    facts += [(title_of_rate, rate)] if rate else []
    blocks: list[Block] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
        {"type": "section", "fields": [_mrkdwn(f"*{name}*\n{_escape(fact)}") for name, fact in facts]},
    ]
    culprits = _culprit_lines(event)
    blocks += [{"type": "section", "text": _mrkdwn(culprits)}] if culprits else []
    links = [f"<{_address(url)}|{_title(name)}>" for name, url in link_items(details)[:_LINKS] if len(url) <= _LINK]
    while len("  ·  ".join(links)) > _TEXT:
        links.pop()
    blocks += [{"type": "section", "text": _mrkdwn("  ·  ".join(links))}] if links else []
    blocks.append({"type": "context", "elements": [_mrkdwn(f"event {_code(event.id)}")]})
    payload = {"id": event.id, **state_of(event)}
    return Message(
        _escape(f"{icon} {summary(change)}", _TEXT), blocks, {"event_type": _EVENT_TYPE, "event_payload": payload}
    )


def state_of(event: Event) -> dict[str, str]:
    """Parts of an event that decide whether its next change is news."""
    return {"state": event.state, "severity": event.severity.value}


def news(change: EventChange, known: Mapping[str, str]) -> str | None:
    """Text for the thread about an event last posted as ``known`` (:func:`state_of`); None where it is not much.

    No label is part of it.
    """
    event = change.event
    if event.end is not None:
        if known.get("state") == "resolved":
            return None
        return (
            f"{_RESOLVED} Back to normal since {time_text(event.end)}, after {duration_text(event.duration_seconds)}."
        )
    if known.get("state") == "resolved":
        return f"{_ICONS[event.severity]} Abnormal again, {span_text(event)}."
    before = known.get("severity")
    if before in set(Severity) and event.severity.rank > Severity(before).rank:
        return f"{_ICONS[event.severity]} Worse: {event.severity.value} now, {before} before; {span_text(event)}."
    return None


def _culprit_lines(event: Event) -> str:
    named, left = top_culprits(event)
    if not named:
        return ""
    lines = [f"•  {_code(one.metric)}  {_escape(culprit_text(one))}  ({share_text(one)})" for one in named]
    lines += [f"and {left} more"] if left else []
    explained = explanation_text(event, _code)
    lines += ["", explained] if explained else []
    stands = "stands" if event.end is None else "stood"
    return "\n".join([f"*What {stands} out*, with its share of the score", *lines])


def _mrkdwn(text: str) -> Block:
    """``verbatim``: Slack makes no links, channels or mentions out of what merely looks like them."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _code(name: str) -> str:
    """A name as inline code, in which Slack formats nothing."""
    return f"`{_escape(name.replace('`', 'ˋ'), _NAME) or '?'}`"


def _escape(text: str, limit: int = _TEXT) -> str:
    """``text`` in one line, its control characters escaped, cut so that the result is within ``limit``."""
    shown = shorten(text, limit)
    while True:
        escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if len(escaped) <= limit:
            return escaped
        shown = shorten(shown, len(shown) - max((len(escaped) - limit) // 5, 1))


def _address(url: str) -> str:
    """``url`` with everything encoded that would end the link."""
    return quote(url, safe="%/:?#[]@!$&'()*+,;=~").replace("&", "&amp;")


def _title(name: str) -> str:
    return _escape("".join(sign for sign in name if sign not in "*_~`|"), 40) or "Link"
