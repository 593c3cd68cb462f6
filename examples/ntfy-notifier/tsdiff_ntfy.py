"""Sends events to phones through ntfy, by its JSON interface: https://docs.ntfy.sh/publish/#publish-as-json"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import SecretStr, model_validator

from tsdiff_monitor.http import DeliveryClient, ServerOptions, ServerUrl
from tsdiff_monitor.plugins import Change, Context, Event, EventChange, Severity, group_name

_PRIORITY = {Severity.info: 2, Severity.warning: 3, Severity.critical: 5}
_TAG = {Change.opened: "rotating_light", Change.updated: "warning", Change.resolved: "white_check_mark"}
_TITLE, _MESSAGE = 200, 3500  # bytes; ntfy makes a file of a message of more than 4096


class NtfyNotifier:
    """One topic of an ntfy server."""

    class Config(ServerOptions):
        """An ntfy topic."""

        url: ServerUrl = SecretStr("https://ntfy.sh")
        """Address of the server."""
        topic: SecretStr | None = None
        """Topic to send to. A secret: those who know it can read along, unless the server asks for `authorization`."""
        topic_file: Path | None = None
        """File that holds the topic; read again at each message."""

        @model_validator(mode="after")
        def _some_topic(self) -> Self:
            if self.topic is None and self.topic_file is None:
                raise ValueError("give `topic` or `topic_file`")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._client = DeliveryClient(config, context, kind="ntfy")

    def notify(self, change: EventChange) -> None:
        """Publish one change. Raises :class:`~tsdiff_monitor.errors.DeliveryError`."""
        event, details = change.event, change.details
        topic = self._client.resolved(self._config.topic, self._config.topic_file) or ""
        note = {
            "topic": topic,
            "title": _cut(f"{details.mark.upper()} {event.monitor} {group_name(event.group)}".strip(), _TITLE),
            "message": _cut(_message(event), _MESSAGE),
            "priority": _PRIORITY[event.severity] if event.end is None else 2,
            "tags": [_TAG[change.change], event.severity.value],
            "click": next(iter(details.links.values()), ""),
        }
        url = self._client.address(self._config.url)
        self._client.send("POST", url, content=json.dumps(note).encode(), secrets=(topic,))

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()


def _message(event: Event) -> str:
    """What the event is, and its culprits with their values at the peak."""
    lines = [f"{event.severity.value} {event.kind}, {event.state}, since {event.start:%d %b %H:%M} UTC"]
    for culprit in event.culprits:
        actual, expected = (
            "unknown" if value is None else f"{value:.4g}{culprit.unit}" for value in (culprit.actual, culprit.expected)
        )
        lines.append(f"{culprit.metric}: {actual}, expected {expected}")
    return "\n".join(lines)


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
