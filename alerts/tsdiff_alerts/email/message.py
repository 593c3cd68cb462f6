"""An event's change as a mail: text, HTML and the picture within it; all mails of an event are one thread.

Threading by ``Message-ID`` and ``References``: RFC 5322, 3.6.4. ``Auto-Submitted``: RFC 3834, 5. ``cid:``: RFC 2392.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from typing import TYPE_CHECKING, cast

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    culprit_text,
    link_items,
    rate_text,
    share_text,
    shorten,
    span_text,
    sureness_text,
    top_culprits,
)
from tsdiff_alerts.message.plain_text import plain_text, title_text
from tsdiff_monitor.events.event import Change, EventChange, Severity

if TYPE_CHECKING:
    import jinja2

__all__ = ["compose", "mailbox"]

_METRIC = 120
_COLOURS = {Severity.critical: "#c62828", Severity.warning: "#b26a00", Severity.info: "#1264a3"}
_CALM = "#2e7d32"


def mailbox(text: str) -> Address:
    """``name@host`` or ``Words <name@host>``. Raises ``ValueError`` when it is neither, or could forge a header."""
    match = re.fullmatch(r"\s*(?:(?P<name>[^<>]*)<(?P<named>[^<>\s]+)>|(?P<bare>[^<>\s]+))\s*", text)
    spec = "" if match is None else match["named"] or match["bare"]
    if match is None or not text.isprintable() or not re.fullmatch(r"[!-?A-~]+@[A-Za-z0-9.:\[\]-]+", spec):
        raise ValueError(f"{text!r} is no mail address; write it like oncall@example.org or Words <oncall@example.org>")
    try:
        return Address(display_name=(match["name"] or "").strip().strip('"'), addr_spec=spec)
    except Exception as error:  # the parser of the standard library raises errors of any kind
        raise ValueError(f"{text!r} is no mail address; write it like oncall@example.org") from error


def compose(
    change: EventChange,
    *,
    sender: Address,
    to: Sequence[Address],
    cc: Sequence[Address] = (),
    now: float,
    picture: bytes | None = None,
) -> EmailMessage:
    """The mail. ``now``: Unix seconds; ``picture``: a PNG. The same change has the same ``Message-ID`` each time.

    An event's first mail is the root of its thread, whether it is the opening or not.
    """
    token, title = _token(change.event.id), title_text(change)
    root = f"<{token}@{sender.domain}>"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = tuple(to)
    if cc:
        mail["Cc"] = tuple(cc)
    mail["Subject"] = _clean(f"[{_state(change)}] {title}")
    mail["Date"] = datetime.fromtimestamp(now, UTC)
    if change.change is Change.opened:
        mail["Message-ID"] = root
    else:
        mail["Message-ID"] = f"<{token}.{change.sequence}@{sender.domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Tsdiff-Event"] = token
    mail["X-Tsdiff-Change"] = change.change.value
    mail["X-Tsdiff-Severity"] = change.event.severity.value
    if change.event.severity is Severity.critical and change.change is not Change.resolved:
        mail["Importance"] = "high"
    mail.set_content(_clean(plain_text(change)) + "\n")
    cid = f"picture.{token}.{change.sequence}@{sender.domain}"
    mail.add_alternative(_clean(_html(change, title, cid if picture else "")), subtype="html")
    if picture:
        html = cast(EmailMessage, list(mail.iter_parts())[1])
        html.add_related(picture, "image", "png", cid=f"<{cid}>", filename="picture.png", disposition="inline")
    return mail


def _state(change: EventChange) -> str:
    if change.change is Change.resolved:
        return "RESOLVED"
    severity = change.event.severity.value
    return severity.upper() if change.change is Change.opened else f"{severity.upper()}, update"


def _html(change: EventChange, title: str, cid: str) -> str:
    event = change.event
    named, left = top_culprits(event)
    span = span_text(event)
    return (
        _environment()
        .get_template("mail.html")
        .render(
            title=title,
            state={Change.opened: "opened", Change.updated: "still open", Change.resolved: "resolved"}[change.change],
            severity=event.severity.value,
            colour=_CALM if change.change is Change.resolved else _COLOURS[event.severity],
            span=span[:1].upper() + span[1:],
            sureness=f"The monitor is {sureness_text(event)}.",
            culprits=[
                {"metric": shorten(one.metric, _METRIC), "text": culprit_text(one), "share": share_text(one)}
                for one in named
            ],
            left=left,
            explanation=explanation_text(event),
            picture=cid,
            links=link_items(change.details),
            rate=rate_text(change.details),
            event=shorten(event.id, _METRIC),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("tsdiff_alerts.email"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def _token(event_id: str) -> str:
    """The event's id as it may stand in a header."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", event_id):
        return event_id
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()[:32]


def _clean(text: str) -> str:
    """``text`` with all that UTF-8 cannot carry replaced."""
    return text.encode("utf-8", "replace").decode()
