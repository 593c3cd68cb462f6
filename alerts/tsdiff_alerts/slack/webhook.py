"""Posts through an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

It cannot change what it posted, so that only what matters is posted: the opening, a rise of the severity, the end.
"""

from __future__ import annotations

import re

from tsdiff_alerts.message.phrases import json_text
from tsdiff_alerts.slack.message import Message, make_message, news, state_of
from tsdiff_alerts.slack.options import SlackOptions
from tsdiff_alerts.slack.refusals import FORM_REFUSED, refusal_of
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.http.address import safe_url
from tsdiff_monitor.http.client import HttpResponse
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.plugins import Receipt

__all__ = ["post_by_webhook"]

_REFUSED = (400, 403, 404, 410)
_FORM = {*FORM_REFUSED, "invalid_payload"}


def post_by_webhook(sender: DeliveryClient, options: SlackOptions, change: EventChange, receipt: Receipt) -> Receipt:
    """Post what is news since ``receipt`` (empty: everything is). Raises ``DeliveryError``."""
    if "state" not in receipt or news(change, receipt) is not None:
        message = make_message(change)
        if _post(sender, options, message, plain=False) in _FORM:
            _post(sender, options, message, plain=True)
    return {**receipt, **state_of(change.event)}


def _post(sender: DeliveryClient, options: SlackOptions, message: Message, *, plain: bool) -> str:
    """The code of a refusal that plain text may avoid; any other one is raised."""
    url = sender.address(options.webhook_url, options.webhook_url_file)
    body = {"text": message.text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
    if not plain:
        body["blocks"] = message.blocks
    answer = sender.send("POST", url, content=json_text(body).encode(), accept=_REFUSED)
    if answer.content.lstrip().startswith(b"<"):
        said = f"{safe_url(url)} answered {answer.status} with a web page; check the address and the proxies in between"
        raise sender.failure(said, "bad_answer", recoverable=answer.status < 300)
    code = _code(answer)
    if code is None or (code in _FORM and not plain):
        return code or ""
    refusal = refusal_of(code)
    said = f"{safe_url(url)} answered {answer.status}: {code or 'it says no more'}; {refusal.remedy}"
    raise sender.failure(said, refusal.reason, recoverable=refusal.recoverable)


def _code(answer: HttpResponse) -> str | None:
    """None when the message was taken; else the error's code, empty where there is none."""
    found = answer.json()
    said = found.get("error") if isinstance(found, dict) else answer.text
    if answer.status < 300 and not (isinstance(found, dict) and found.get("ok") is False):
        return None
    return said if isinstance(said, str) and re.fullmatch(r"[a-z0-9_]{1,60}", said) else ""
