"""Triggers and resolves incidents in PagerDuty.

API: https://developer.pagerduty.com/docs/events-api-v2/overview/ (Events API v2). Limits: 512 kB an event,
``dedup_key`` of 255 characters, ``summary`` of 1,024, about 120 events a minute and integration key.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import httpx
from pydantic import Field, SecretStr, model_validator

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    json_text,
    link_items,
    rate_text,
    shorten,
    span_text,
    summary,
    sureness_text,
    top_culprits,
)
from tsdiff_alerts.message.plain_text import culprit_line
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.http.address import Url, safe_url
from tsdiff_monitor.http.client import HttpResponse
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.options import ConnectionOptions
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["PagerDutyNotifier"]

_LARGEST = 512 * 1024
_SUMMARY = 1024
_FIELD = 255
_TAKEN = 202
_INVALID = 400

Level = Literal["critical", "error", "warning", "info"]


class PagerDutyNotifier:
    """A notifier for an integration "Events API v2" of a PagerDuty service."""

    pace: ClassVar[float] = 0.5  # 120 events a minute and key

    class Severities(StrictModel):
        """PagerDuty's word for each severity; it decides whether the incident is urgent."""

        critical: Level = "critical"
        """For critical events."""
        warning: Level = "warning"
        """For warnings."""
        info: Level = "info"
        """For events of severity info."""

    class Config(ConnectionOptions):
        """Incidents in PagerDuty."""

        routing_key: SecretStr | None = None
        """The integration key of an "Events API v2" integration."""
        routing_key_file: Path | None = None
        """File that holds the integration key; read again at each event."""
        url: Url = SecretStr("https://events.pagerduty.com/v2/enqueue")
        """The address that events go to; for accounts in the EU `https://events.eu.pagerduty.com/v2/enqueue`."""
        severities: PagerDutyNotifier.Severities = Field(default_factory=lambda: PagerDutyNotifier.Severities())
        """PagerDuty's severity (`critical`, `error`, `warning`, `info`) for `critical`, `warning` and `info`."""

        @model_validator(mode="after")
        def _some_key(self) -> Self:
            if self.routing_key is None and self.routing_key_file is None:
                raise ValueError("give `routing_key` or `routing_key_file`")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._sender = DeliveryClient(config, context, kind="pagerduty")

    def notify(self, change: EventChange) -> None:
        """Send one event: a trigger for openings and updates, which go to the same incident, or its resolution.

        Raises :class:`DeliveryError`: ``invalid_key``, ``invalid_event`` (400), and what
        :mod:`tsdiff_monitor.http.failure` lists.
        """
        key = self._sender.resolved(self._config.routing_key, self._config.routing_key_file) or ""
        url = self._sender.address(self._config.url, None)
        body = {"routing_key": key, "dedup_key": _dedup_key(change.event.id)}
        if change.change is Change.resolved:
            body["event_action"] = "resolve"
            content = _encoded(body)
        else:
            content = self._trigger(body, change)
        answer = self._sender.send("POST", url, content=content, accept=(_INVALID,), secrets=(key,))
        if answer.status != _TAKEN:
            raise self._not_taken(answer, url, key)

    def close(self) -> None:
        """Close the connections that are kept open between events."""
        self._sender.close()

    def _trigger(self, body: dict[str, Any], change: EventChange) -> bytes:
        event = change.event
        links = [{"href": address, "text": shorten(title, _FIELD)} for title, address in link_items(change.details)]
        payload = {
            "summary": shorten(summary(change), _SUMMARY),
            "source": shorten(group_name(event.group), _FIELD),
            "severity": getattr(self._config.severities, event.severity.value),
            "timestamp": event.last.isoformat(),
            "component": shorten(event.culprits[0].metric, _FIELD) if event.culprits else None,
            "group": shorten(event.monitor, _FIELD),
            "class": "abnormal metrics",
            "custom_details": _custom_details(change),
        }
        body |= {
            "event_action": "trigger",
            "payload": {name: value for name, value in payload.items() if value is not None},
            "links": links,
            "client": "tsdiff-monitor",
        }
        if links:
            body["client_url"] = links[0]["href"]
        content = _encoded(body)
        if len(content) > _LARGEST:  # the message is worth more than its details
            body["payload"]["custom_details"] = {"left out": "the details are larger than PagerDuty takes"}
            body["links"] = []
            content = _encoded(body)
        return content

    def _not_taken(self, answer: HttpResponse, url: httpx.URL, key: str) -> DeliveryError:
        if answer.status != _INVALID:
            said = f"{safe_url(url)} answered {answer.status} where PagerDuty says {_TAKEN}; check `url`"
            return self._sender.failure(said, "no_pagerduty")
        said = _complaint(answer)
        said = said.replace(key, "<secret>") if key else said
        if "routing" in said.lower() or "integration key" in said.lower():
            remedy = "check `routing_key`: the integration key of an Events API v2 integration"
            return self._sender.failure(
                f"PagerDuty refuses the key: {said}; {remedy}", "invalid_key", recoverable=False
            )
        return self._sender.failure(f"PagerDuty refuses the event: {said}", "invalid_event", recoverable=False)


def _dedup_key(event_id: str) -> str:
    """Key that ties an event's changes to one incident."""
    if len(event_id) <= _FIELD:
        return event_id
    return hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()


def _custom_details(change: EventChange) -> dict[str, Any]:
    event = change.event
    named, left = top_culprits(event)
    rate = rate_text(change.details)
    found: dict[str, Any] = {
        "event": event.id,
        "monitor": event.monitor,
        "group": {name: shorten(value, _SUMMARY) for name, value in event.group},
        "when": span_text(event),
        "how sure": sureness_text(event),
        "peak score": event.peak,
        "what departed most": [culprit_line(culprit) for culprit in named] + ([f"and {left} more"] if left else []),
    }
    explained = explanation_text(event)
    if explained:
        found["what explains it"] = explained
    return {**found, "alarms": rate} if rate else found


def _complaint(answer: HttpResponse) -> str:
    """PagerDuty's message about an event that it refuses: ``{"message": ..., "errors": [...]}``."""
    raw = answer.json()
    if not isinstance(raw, dict):
        return answer.text[:300] or "it does not say why"
    errors = raw.get("errors")
    parts = [raw.get("message"), *(errors if isinstance(errors, list) else [])]
    return shorten("; ".join(str(part) for part in parts if part), 300) or "it does not say why"


def _encoded(body: dict[str, Any]) -> bytes:
    return json_text(body).encode("utf-8", "replace")
