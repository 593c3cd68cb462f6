"""Common part of the stand-ins for Slack and Grafana: an HTTP server on the loopback interface, in its own thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Loopback", "Reply", "Request"]


@dataclass(frozen=True)
class Request:
    """A request as it came; ``query`` and header names are as sent, header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """The answer; ``lost``: do what was asked, then hang up without an answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


class Loopback:
    """A server whose answers are :meth:`answer`; a context manager. All that came is kept in ``requests``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        stand_in, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                address = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, address.path, dict(parse_qsl(address.query)), headers, body)
                with lock:
                    stand_in.requests.append(request)
                    reply = stand_in.answer(request)
                if reply.lost:
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *args: object) -> None:
                pass

        for verb in ("GET", "POST", "PATCH"):
            setattr(Handler, f"do_{verb}", Handler._serve)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: Request) -> Reply:
        """The service's answer."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
