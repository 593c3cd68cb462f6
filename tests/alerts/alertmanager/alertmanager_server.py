"""A real Alertmanager whose Slack integration posts to a local server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers.process import Process, answers, find_program, free_port

__all__ = ["Posts", "alerts_at", "slack_posts", "start_alertmanager", "until"]

Posts = list[dict[str, Any]]
_LIMIT = 20.0


@contextmanager
def slack_posts() -> Iterator[tuple[str, Posts]]:
    """The address of a server that takes what Slack's incoming webhook takes, and the messages it received."""
    posts: Posts = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/T0/B0/x", posts
        server.shutdown()
        thread.join()


def start_alertmanager(folder: Path, slack: str, *, web_config: dict[str, Any] | None = None, **probe: Any) -> Process:
    """Start Alertmanager with one route, to Slack at ``slack``; it notifies of everything within a second.

    ``web_config``: what ``--web.config.file`` holds; ``probe`` then gives httpx.Client what it needs to get in.
    """
    program = find_program("prometheus-alertmanager", "prometheus-alertmanager")
    message = "{{ range .Alerts }}{{ .Status }} {{ .Labels.severity }}: {{ .Annotations.summary }}\n{{ end }}"
    config = {
        "route": {
            "receiver": "slack",
            "group_by": ["alertname", "monitor", "instance"],
            "group_wait": "10ms",
            "group_interval": "100ms",
            "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "slack",
                "slack_configs": [{"api_url": slack, "channel": "#x", "send_resolved": True, "text": message}],
            }
        ],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",  # empty: else it listens on all interfaces and waits 5 s
    ]
    scheme = "http"
    if web_config is not None:
        (folder / "web.yml").write_text(yaml.safe_dump(web_config))
        command.append(f"--web.config.file={folder / 'web.yml'}")
        scheme = "https" if "tls_server_config" in web_config else "http"
    url = f"{scheme}://127.0.0.1:{port}"
    return Process(url, command, folder, answers(f"{url}/-/ready", **probe))


def alerts_at(url: str) -> list[dict[str, Any]]:
    """The alerts that Alertmanager holds as firing; it forgets resolved ones in its answers."""
    with httpx.Client(trust_env=False) as client:
        found: list[dict[str, Any]] = client.get(f"{url}/api/v2/alerts").json()
    return found


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something to become true on a server."""
    limit = time.monotonic() + _LIMIT
    while not true():
        assert time.monotonic() < limit, f"in vain: {what}"
        time.sleep(0.02)
