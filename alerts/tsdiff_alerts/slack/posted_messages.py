"""Finds messages that were posted without a receipt: those of a process that was killed right after
posting, and those whose answer got lost. Slack has no idempotency keys, but each message carries its event's id.

The channel's history is read once after the start, and once after each post with an unknown outcome; without the
permission to read it nothing is found, and an event may then be posted twice.
API: https://docs.slack.dev/reference/methods/conversations.history
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import structlog

from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Receipt

if TYPE_CHECKING:
    from tsdiff_alerts.slack.api import SlackApi

__all__ = ["PostedMessages"]

_DEPTH = 200  # messages: Slack's advice for one call
_KEPT = ("state", "severity")

_log = structlog.get_logger(__name__)


class PostedMessages:
    """The newest messages of a channel, by event. A channel given by name cannot be searched."""

    def __init__(self, api: SlackApi, channel: str, name: str) -> None:
        self._api = api
        self._channel = channel
        self._name = name
        self._stale = re.fullmatch(r"[CGD][A-Z0-9]{5,}", channel) is not None
        self._searchable = self._stale
        self._found: dict[str, dict[str, str]] = {}

    def find(self, event_id: str) -> Receipt | None:
        """The receipt of an earlier message about the event. Raises ``DeliveryError`` when a later try may find out."""
        if self._stale:
            self._found |= self._search()
            self._stale = False
        return self._found.get(event_id)

    def uncertain(self) -> None:
        """Note that a post failed in a way that leaves open whether it was taken."""
        self._stale = self._searchable

    def _search(self) -> dict[str, dict[str, str]]:
        from slack_sdk.errors import SlackApiError

        from tsdiff_alerts.slack.api import code_of

        try:
            answer = self._api.conversations_history(channel=self._channel, limit=_DEPTH, include_all_metadata=True)
        except SlackApiError as error:
            code = code_of(error)
            if code in ("missing_scope", "not_in_channel"):
                self._searchable = False
            _log.info("channel not searched for earlier messages", notifier=self._name, error=code)
            return {}
        except DeliveryError as error:
            if error.recoverable and error.reason != "rate_limited":
                raise
            return {}  # better twice than late
        messages = answer.get("messages")
        return dict(filter(None, map(self._receipt, messages if isinstance(messages, list) else [])))

    def _receipt(self, message: Any) -> tuple[str, dict[str, str]] | None:
        payload = _at(message, "metadata", "event_payload")
        event_id, ts = _at(payload, "id"), _at(message, "ts")
        if not isinstance(event_id, str) or not isinstance(ts, str):
            return None
        receipt = {"channel": self._channel, "ts": ts}
        receipt |= {key: value for key in _KEPT if isinstance(value := _at(payload, key), str)}
        if _at(message, "reply_count"):  # the picture is there already
            receipt["picture"] = "1"
        return event_id, receipt


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
