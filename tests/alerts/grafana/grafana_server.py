"""A stand-in for Grafana's annotation API, with its limits, errors and authentication.

From https://grafana.com/docs/grafana/latest/developers/http_api/annotations/ and the behaviour of Grafana 11.
"""

from __future__ import annotations

import json
from typing import Any

from tests.alerts.loopback import Loopback, Reply, Request

__all__ = ["GrafanaServer"]


class GrafanaServer(Loopback):
    """Grafana under the sub-path ``/grafana``. ``tokens``: token to permissions."""

    def __init__(self) -> None:
        super().__init__()
        self.url += "/grafana"
        self.tokens = {"glsa_good": {"annotations:write", "annotations:read", "dashboards:read"}}
        self.dashboards = {"hosts"}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.hides_deleted = False
        """True if a deleted annotation is forbidden to change, as to those who are no administrators."""
        self.next: list[Reply] = []

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith("/grafana/api/"):
            return Reply(404, b"404 page not found")
        if self.next and not self.next[0].lost:
            return self.next.pop(0)
        may = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if may is None:
            return _say(401, "Invalid API key")
        reply = self._route(request, request.path.removeprefix("/grafana/api/"), may)
        return self.next.pop(0) if self.next else reply

    def _route(self, request: Request, path: str, may: set[str]) -> Reply:
        if path.startswith("dashboards/uid/"):
            if "dashboards:read" not in may:
                return _say(403, "You'll need additional permissions to perform this action")
            known = path.removeprefix("dashboards/uid/") in self.dashboards
            return _say(200, "") if known else _say(404, "Dashboard not found")
        if f"annotations:{'read' if request.method == 'GET' else 'write'}" not in may:
            return _say(403, "You'll need additional permissions to perform this action")
        if request.method == "GET":
            tag, limit = request.query["tags"], int(request.query["limit"])
            return _json(200, [one for one in self.annotations.values() if tag in one["tags"]][:limit])
        given = json.loads(request.body)
        if len(json.dumps(given.get("tags", []), ensure_ascii=False)) > 500:
            return _say(500, "Failed to save annotation")
        if request.method == "POST" and path == "annotations":
            if not given.get("text"):
                return _say(400, "Failed to save annotation")
            number = len(self.annotations) + 1
            if given.get("dashboardUID") not in self.dashboards:
                given.pop("dashboardUID", None)  # as the real one does, without a word
            self.annotations[number] = {"id": number, **given}
            return _json(200, {"message": "Annotation added", "id": number})
        number = int(path.removeprefix("annotations/"))
        if number not in self.annotations:
            return _say(403 if self.hides_deleted else 404, "Annotation not found")
        assert request.method == "PATCH" and set(given) <= {"text", "tags", "time", "timeEnd"}
        self.annotations[number].update(given)
        return _say(200, "Annotation patched")


def _say(status: int, message: str) -> Reply:
    return _json(status, {"message": message})


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
