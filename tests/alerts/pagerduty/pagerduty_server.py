"""A local stand-in for PagerDuty's Events API v2: its checks, its answers, and what becomes of incidents."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import httpx

__all__ = ["KEY", "PagerDuty"]

KEY = "0123456789abcdef0123456789abcdef"
_LIMIT = 512 * 1024
_RATE = (120, 60.0)  # events, seconds
_FIELDS = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
_PAYLOAD = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}


class PagerDuty:
    """Takes requests as a handler of :class:`httpx.MockTransport`; ``now`` moves by ``between`` at each of them.

    ``open`` holds the open incidents by ``dedup_key``, each with the events that went to it; ``closed`` those resolved.
    """

    def __init__(self, between: float = 0.5) -> None:
        self.open: dict[str, list[dict[str, Any]]] = {}
        self.closed: list[str] = []
        self.now = 0.0
        self._between = between
        self._recent: deque[float] = deque()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.now += self._between
        if (request.method, request.url.path) != ("POST", "/v2/enqueue"):
            return httpx.Response(404)
        while self._recent and self._recent[0] <= self.now - _RATE[1]:
            self._recent.popleft()
        if len(self._recent) >= _RATE[0]:
            return httpx.Response(429, text="Request Limit Exceeded")
        self._recent.append(self.now)
        if len(request.content) > _LIMIT:
            return httpx.Response(413)
        try:
            event = json.loads(request.content)
        except ValueError:
            return _invalid("the JSON is not valid")
        errors = _errors(event)
        if errors:
            return _invalid(*errors)
        self._process(event)
        answer = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        return httpx.Response(202, json=answer)

    def _process(self, event: dict[str, Any]) -> None:
        key = event["dedup_key"]
        if event["event_action"] == "trigger":
            self.open.setdefault(key, []).append(event)
        elif key in self.open:
            del self.open[key]
            self.closed.append(key)


def _invalid(*errors: str) -> httpx.Response:
    answer = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return httpx.Response(400, json=answer)


def _errors(event: dict[str, Any]) -> list[str]:
    unknown = set(event) - _FIELDS
    errors = [f"'{name}' is not a field" for name in sorted(unknown)]
    if event.get("routing_key") != KEY:
        errors.append(f"Invalid routing key {event.get('routing_key')}")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is missing or blank")
    if not isinstance(event.get("dedup_key"), str) or not 0 < len(event["dedup_key"]) <= 255:
        errors.append("'dedup_key' must have 1 to 255 characters")
    links = event.get("links", [])
    if any(set(link) - {"href", "text"} or not str(link.get("href", "")).startswith("http") for link in links):
        errors.append("'links' must have an 'href'")
    if event.get("event_action") == "trigger":
        errors += _payload_errors(event.get("payload"))
    return errors


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [f"'payload.{name}' is not a field" for name in sorted(set(payload) - _PAYLOAD)]
    errors += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
    if len(payload.get("summary", "")) > 1024:
        errors.append("'payload.summary' is too long")
    if payload.get("severity") not in ("critical", "error", "warning", "info"):
        errors.append("'payload.severity' is invalid (must be one of the following: critical, warning, error or info)")
    return errors
