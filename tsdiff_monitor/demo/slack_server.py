"""A server on this machine that answers as Slack's Web API does: the demo posts to it.

It knows the methods that posting an event takes (https://docs.slack.dev/reference/methods), checks nothing, and keeps
the messages, so that the demo can show one as text.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["DemoSlack", "Post", "plain_message"]

_FIRST_TS = 1_700_000_000


@dataclass
class Post:
    """A message as it was left, what was said in its thread, and the sizes of the pictures there in bytes."""

    blocks: list[dict[str, Any]]
    thread: list[str] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)


class DemoSlack:
    """The server, from ``with`` to its end; ``posts`` are the channel's messages, oldest first."""

    def __init__(self) -> None:
        self._posts: dict[str, Post] = {}
        self._uploads: dict[str, int] = {}
        self._methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": lambda _: {"messages": []},
            "files.getUploadURLExternal": self._reserve,
            "files.completeUploadExternal": self._attach,
        }
        stand_in, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    answer = stand_in._answer(self.path, self.headers.get_content_type(), body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"

    def __enter__(self) -> DemoSlack:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def posts(self) -> tuple[Post, ...]:
        return tuple(self._posts.values())

    def _answer(self, path: str, kind: str, body: bytes) -> bytes:
        _, _, upload = path.partition("/upload/")
        if upload:
            return b"OK"
        method = self._methods.get(path.rpartition("/")[2])
        if method is None:
            return json.dumps({"ok": False, "error": "unknown_method"}).encode()
        given = json.loads(body) if kind == "application/json" else dict(parse_qsl(body.decode()))
        return json.dumps({"ok": True, **method(given)}).encode()

    def _post(self, given: Mapping[str, Any]) -> dict[str, Any]:
        parent = self._posts.get(given.get("thread_ts", ""))
        ts = f"{_FIRST_TS + len(self._posts)}.000100"
        if parent is None:
            self._posts[ts] = Post(given.get("blocks", []))
        else:
            parent.thread.append(html.unescape(given["text"]))
        return {"channel": given["channel"], "ts": ts}

    def _update(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._posts[given["ts"]].blocks = given["blocks"]
        return {"channel": given["channel"], "ts": given["ts"]}

    def _reserve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = f"F{len(self._uploads)}"
        self._uploads[name] = int(given["length"])
        return {"file_id": name, "upload_url": f"{self.url}upload/{name}"}

    def _attach(self, given: Mapping[str, Any]) -> dict[str, Any]:
        files = json.loads(given["files"])
        self._posts[given["thread_ts"]].pictures += [self._uploads[file["id"]] for file in files]
        return {"files": files}


def plain_message(post: Post) -> str:
    """A message as people read it: its blocks without markup, then what was said in its thread."""
    parts = []
    for block in post.blocks:
        texts = [block["text"]] if "text" in block else [*block.get("fields", ()), *block.get("elements", ())]
        parts.append(
            "\n".join(
                ": ".join(_plain(text["text"]).split("\n", 1)) if "fields" in block else _plain(text["text"])
                for text in texts
            )
        )
    replies = [f"  ↳ {_plain(text)}" for text in post.thread]
    replies += [f"  ↳ picture of actual against expected, {size / 1000:.0f} kB" for size in post.pictures]
    return "\n\n".join([*parts, *(["\n".join(replies)] if replies else [])])


def _plain(markup: str) -> str:
    """``<address|title>`` as ``title: address``; bold and code without their signs."""
    linked = re.sub(r"<([^|>]+)\|([^>]+)>", r"\2: \1", markup)
    return html.unescape(re.sub(r"[*`]", "", linked))
