"""A stand-in for Slack: the methods of its Web API that matter here, with their limits, errors and authentication.

From https://docs.slack.dev/reference/methods and https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from tests.alerts.loopback import Loopback, Reply, Request

__all__ = ["Channel", "SlackServer"]

SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "conversations.history": "channels:history",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
}
_KEYS = {
    "header": {"type", "text"},
    "section": {"type", "text", "fields"},
    "context": {"type", "elements"},
    "plain_text": {"type", "text", "emoji"},
    "mrkdwn": {"type", "text", "verbatim"},
}


class RefusedError(Exception):
    """An answer with ``ok: false``."""


@dataclass
class Channel:
    """A channel and its messages, oldest first."""

    id: str
    name: str
    archived: bool = False
    joined: bool = True
    messages: list[dict[str, Any]] = field(default_factory=list)

    def top(self) -> list[dict[str, Any]]:
        """The messages that are not in a thread."""
        return [message for message in self.messages if "thread_ts" not in message]

    def thread(self, ts: str) -> list[dict[str, Any]]:
        """The replies to a message."""
        return [message for message in self.messages if message.get("thread_ts") == ts]


class SlackServer(Loopback):
    """Slack. ``tokens``: token to scopes. ``next``: for a method, answers to give once instead of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = {"xoxb-good": set(SCOPES.values())}
        self.revoked: set[str] = set()
        self.channels = {one.id: one for one in (Channel("C0ALERTS", "alerts"), Channel("C0OTHER", "other"))}
        self.webhooks = {"/services/T0/B0/hook-secret": "C0ALERTS"}
        self.files: dict[str, dict[str, Any]] = {}
        self.next: dict[str, list[Reply]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._clock = 1_700_000_000

    @property
    def alerts(self) -> Channel:
        return self.channels["C0ALERTS"]

    def refuse(self, method: str, code: str, status: int = 200, **headers: str) -> None:
        """Let the method's next call fail with ``code``."""
        self.next.setdefault(method, []).append(_json({"ok": False, "error": code}, status, headers))

    def answer(self, request: Request) -> Reply:
        if request.path in self.webhooks or request.path.startswith("/services/"):
            return self._webhook(request)
        if request.path.startswith("/upload/"):
            wanted = self.files[request.path.removeprefix("/upload/")]
            if "upload" in self.next:
                return self.next["upload"].pop(0)
            assert "authorization" not in request.headers, "the token is not for the upload's address"
            if len(request.body) != wanted["length"]:
                return Reply(400)
            wanted["content"] = request.body
            return Reply(200, b"OK - %d" % len(request.body))
        method = request.path.removeprefix("/api/")
        planned = self.next.get(method) or []
        if planned and not planned[0].lost:
            return planned.pop(0)
        try:
            found = self._call(method, request)
        except RefusedError as refused:
            return _json({"ok": False, "error": str(refused)})
        return planned.pop(0) if planned else _json({"ok": True, **found})

    def _call(self, method: str, request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "")
        if kind.startswith("application/json"):
            given = json.loads(request.body)
        else:
            assert kind.startswith("application/x-www-form-urlencoded"), kind
            given = dict(parse_qsl(request.body.decode()))
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            raise RefusedError("not_authed")
        if token in self.revoked or token not in self.tokens:
            raise RefusedError("token_revoked" if token in self.revoked else "invalid_auth")
        if SCOPES[method] not in self.tokens[token]:
            raise RefusedError("missing_scope")
        self.calls.append((method, given))
        return {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "files.getUploadURLExternal": self._reserve,
            "files.completeUploadExternal": self._complete,
        }[method](given)

    def _post(self, given: dict[str, Any]) -> dict[str, Any]:
        names = {f"#{channel.name}": channel for channel in self.channels.values()}
        channel = self._channel(names[given["channel"]].id if given["channel"] in names else given["channel"])
        check(given)
        if "thread_ts" in given and all(given["thread_ts"] != one["ts"] for one in channel.top()):
            raise RefusedError("thread_not_found")
        return {"channel": channel.id, "ts": self._add(channel, given)}

    def _update(self, given: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(given["channel"])
        check(given)
        message = next((one for one in channel.messages if one["ts"] == given["ts"]), None)
        if message is None:
            raise RefusedError("message_not_found")
        message.update({key: given[key] for key in ("text", "blocks", "metadata") if key in given})
        return {"channel": channel.id, "ts": given["ts"]}

    def _history(self, given: dict[str, Any]) -> dict[str, Any]:
        assert 1 <= int(given["limit"]) <= 999
        newest = self._channel(given["channel"]).top()[: -int(given["limit"]) - 1 : -1]
        if given.get("include_all_metadata") not in ("1", "true"):
            newest = [{key: value for key, value in one.items() if key != "metadata"} for one in newest]
        return {"messages": newest}

    def _reserve(self, given: dict[str, Any]) -> dict[str, Any]:
        number = f"F{len(self.files)}"
        self.files[number] = {"length": int(given["length"]), "alt_txt": given.get("alt_txt", "")}
        assert given["filename"] and self.files[number]["length"] > 0
        return {"file_id": number, "upload_url": f"{self.url}/upload/{number}"}

    def _complete(self, given: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(given["channel_id"])
        files = json.loads(given["files"])
        for one in files:
            if "content" not in self.files.get(one["id"], {}):
                raise RefusedError("file_not_found")
        self._add(channel, {"text": "", "files": files, "thread_ts": given["thread_ts"]})
        return {"files": files}

    def _webhook(self, request: Request) -> Reply:
        if self.next.get("webhook"):
            return self.next["webhook"].pop(0)
        if request.path not in self.webhooks:
            return Reply(404, b"no_service")
        channel = self.channels[self.webhooks[request.path]]
        if channel.archived:
            return Reply(410, b"channel_is_archived")
        given = json.loads(request.body)
        try:
            check(given)
        except RefusedError as refused:
            return Reply(400, str(refused).encode())
        self._add(channel, given)
        return Reply(200, b"ok")

    def _channel(self, number: str) -> Channel:
        channel = self.channels.get(number)
        if channel is None:
            raise RefusedError("channel_not_found")
        if channel.archived:
            raise RefusedError("is_archived")
        if not channel.joined:
            raise RefusedError("not_in_channel")
        return channel

    def _add(self, channel: Channel, given: dict[str, Any]) -> str:
        self._clock += 1
        ts = f"{self._clock}.000100"
        kept = {key: given[key] for key in ("text", "blocks", "metadata", "thread_ts", "files") if key in given}
        for parent in channel.messages:
            if parent["ts"] == given.get("thread_ts"):
                parent["reply_count"] = parent.get("reply_count", 0) + 1
        channel.messages.append({"ts": ts, **kept})
        return ts


def check(given: dict[str, Any]) -> None:
    """Raise what Slack would about a message; the fallback text is required here, though Slack only recommends it."""
    if not given.get("text"):
        raise RefusedError("no_text")
    if len(given["text"]) > 40_000:
        raise RefusedError("msg_too_long")
    check_markup(given["text"])
    blocks = given.get("blocks", [])
    if len(blocks) > 50 or any(not _is_valid(block) for block in blocks):
        raise RefusedError("invalid_blocks")
    metadata = given.get("metadata")
    if metadata is not None and set(metadata) != {"event_type", "event_payload"}:
        raise RefusedError("invalid_metadata_format")


def check_markup(text: str) -> None:
    """The only markup in angle brackets is links; anything else there would mention somebody or is not escaped."""
    rest = re.sub(r"<https?://[^<>|\s]+\|[^<>|]+>", "", text)
    assert not re.search("[<>]", rest), f"not escaped: {rest}"
    assert not re.search(r"&(?!amp;|lt;|gt;)", text), f"not escaped: {text}"


def _is_valid(block: dict[str, Any]) -> bool:
    parts = [part for key in ("fields", "elements") for part in block.get(key, [])]
    texts = [*parts, *([block["text"]] if "text" in block else [])]
    limit = {"header": 150, "section": 3000, "context": 3000}.get(block["type"], 0)
    for one in (block, *texts):
        if not set(one) <= _KEYS.get(one["type"], set()):
            return False
    for one in texts:
        check_markup(one["text"])
        if not 1 <= len(one["text"]) <= (2000 if one in block.get("fields", []) else limit):
            return False
    try:
        for parsed in Block.parse_all([block]):
            parsed.validate_json()
    except SlackObjectFormationError:
        return False
    if block["type"] == "header" and block["text"]["type"] != "plain_text":
        return False
    return bool(texts) and len(parts) <= 10


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})
