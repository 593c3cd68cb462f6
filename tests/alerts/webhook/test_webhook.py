"""The webhook posts what is documented, signed, and keeps its secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tsdiff_alerts.webhook import WebhookNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, HttpNotifierConformance, example_change

URL = "https://robot:url-password@hooks.example:8443/path-token/x?key=query-token"
CONFIG: dict[str, Any] = {
    "url": URL,
    "headers": {"X-Api-Key": "header-token"},
    "secret": "signing-key",
}


def notifier(handler: Any, **config: Any) -> WebhookNotifier:
    """A notifier whose network is ``handler``."""
    context = Context(name="mine", now=FakeClock(1_714_532_400.7), transport=httpx.MockTransport(handler))
    return WebhookNotifier(WebhookNotifier.Config.model_validate({**CONFIG, **config}), context)


def failure(handler: Any, **config: Any) -> DeliveryError:
    """The error of a delivery that ``handler`` refuses."""
    with pytest.raises(DeliveryError) as caught:
        notifier(handler, **config).notify(example_change())
    return caught.value


class TestWebhook(HttpNotifierConformance):
    """The promises of every notifier that speaks HTTP."""

    secrets = ("url-password", "path-token", "query-token", "header-token", "signing-key")

    def make(self, context: Context) -> WebhookNotifier:
        return WebhookNotifier(WebhookNotifier.Config.model_validate(CONFIG), context)


def test_the_request_is_as_documented() -> None:
    """A POST of the change with its version and key; the signature is that of timestamp and body."""
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    change = example_change(sequence=3)
    notifier(accept).notify(change)
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/path-token/x")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Api-Key"] == "header-token"
    assert request.headers["Idempotency-Key"] == change.key == "0123456789abcdef/3"
    assert request.headers["X-Tsdiff-Timestamp"] == "1714532400"
    digest = hmac.new(b"signing-key", b"1714532400." + request.content, hashlib.sha256).hexdigest()
    assert request.headers["X-Tsdiff-Signature"] == f"sha256={digest}"
    assert json.loads(request.content) == {"version": 1, **change.to_json()}


def test_what_explains_it_is_sent() -> None:
    """The fewest metrics that explain the event, and the scores with and without them, are part of the event."""

    def accept(request: httpx.Request) -> httpx.Response:
        explanation = json.loads(request.content)["event"]["explanation"]
        assert explanation == {"metrics": ["memory", "gc"], "score_before": 4.21, "score_after": 0.61}
        return httpx.Response(200)

    notifier(accept).notify(example_change(explanation=Explanation(("memory", "gc"), 4.21, 0.61)))


def test_no_secret_no_signature() -> None:
    """Without a secret there is no header that looks like one; missing numbers are null."""

    def accept(request: httpx.Request) -> httpx.Response:
        assert "X-Tsdiff-Signature" not in request.headers
        assert json.loads(request.content)["event"]["peak_score"] is None
        return httpx.Response(200)

    notifier(accept, secret=None).notify(example_change(peak=float("nan")))


def test_secrets_from_files_are_read_each_time(tmp_path: Path) -> None:
    """Address and key may be rotated while the daemon runs; a file that is missing for a while may come back."""
    for name, text in (("url", "https://first.example/\n"), ("key", "one\n")):
        (tmp_path / name).write_text(text)
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    target = notifier(accept, url=None, url_file=tmp_path / "url", secret=None, secret_file=tmp_path / "key")
    target.notify(example_change())
    (tmp_path / "url").write_text("https://second.example/")
    (tmp_path / "key").write_text("two")
    target.notify(example_change())
    assert [request.url.host for request in seen] == ["first.example", "second.example"]
    assert seen[0].headers["X-Tsdiff-Signature"] != seen[1].headers["X-Tsdiff-Signature"]
    (tmp_path / "url").write_text("not an address")
    with pytest.raises(DeliveryError, match="holds no address") as caught:
        target.notify(example_change())
    (tmp_path / "key").unlink()
    (tmp_path / "url").write_text("https://second.example/")
    with pytest.raises(DeliveryError, match="key") as caught:
        target.notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("config", True)


@pytest.mark.parametrize(
    ("status", "reason", "recoverable"),
    [
        (301, "redirect", False),
        (400, "client_error", False),
        (401, "auth", False),
        (408, "timeout", True),
        (425, "client_error", True),
        (429, "rate_limited", True),
        (500, "server_error", True),
        (503, "server_error", True),
    ],
)
def test_reasons(status: int, reason: str, recoverable: bool) -> None:
    """Each status has a word for the metrics, and the message names the place but not the path."""
    error = failure(lambda _: httpx.Response(status))
    assert (error.reason, error.recoverable) == (reason, recoverable)
    assert f"webhook 'mine': https://hooks.example:8443: status {status} " in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        ("Wed, 01 May 2024 03:01:00 GMT", 59.3),
        (None, None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    """Seconds or a date, counted from the injected clock, are passed on where a retry may help."""
    headers = {} if header is None else {"Retry-After": header}
    error = failure(lambda _: httpx.Response(503, headers=headers))
    assert error.retry_after == (None if seconds is None else pytest.approx(seconds))
    assert failure(lambda _: httpx.Response(400, headers=headers)).retry_after is None


def test_network_reasons() -> None:
    """A time-out, a refused connection and a bad certificate are distinguished."""

    def tls(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("failed", request=request) from ssl.SSLCertVerificationError("expired")

    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    errors = [failure(handler) for handler in (tls, slow, refused)]
    assert [error.reason for error in errors] == ["tls", "timeout", "connect"]
    assert "nothing came for 10s; check the server, or raise `timeout`" in str(errors[1])


def test_headers_by_both_names_and_credentials() -> None:
    """`headers` and `http_headers` go out together, with the credentials of `basic_auth`."""
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    basic = {"username": "robot", "password": "good"}
    config = {"url": "https://hooks.example/x", "http_headers": {"X-Org": "4"}, "basic_auth": basic}
    notifier(accept, **config).notify(example_change())
    assert (seen[0].headers["X-Org"], seen[0].headers["X-Api-Key"]) == ("4", "header-token")
    assert seen[0].headers["Authorization"] == "Basic cm9ib3Q6Z29vZA=="


def test_configuration_is_checked_and_masked() -> None:
    """Wrong addresses and headers are refused without being shown; a good configuration shows none of its secrets."""
    for wrong in (
        {"url": "hooks.example/secret-path"},
        {"url": "ftp://secret-host/"},
        {"url": None},
        {"headers": {"Idempotency-Key": "secret-value"}},
        {"headers": {"bad name": "secret-value"}},
        {"headers": {"X-A": "secret\nvalue"}},
        {"headers": {"authorization": "Bearer secret-value"}},
        {"http_headers": {"x-api-key": "secret-value"}},
        {"basic_auth": {"username": "robot", "password": "secret-value"}},
        {
            "url": "https://a.example",
            "authorization": {"credentials": "secret-value"},
            "headers": {"Authorization": "x"},
        },
        {"timeout": "0"},
        {"retries": 3},
    ):
        with pytest.raises(ValidationError) as caught:
            WebhookNotifier.Config.model_validate({**CONFIG, **wrong})
        assert "secret-" not in str(caught.value) and "secret\n" not in str(caught.value)
    config = WebhookNotifier.Config.model_validate(CONFIG)
    for secret in TestWebhook.secrets:
        assert secret not in repr(config) and secret not in config.model_dump_json()


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """A real server: its address, and the bodies it received; ``/redirect`` answers with a redirect to itself."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(302 if self.path == "/redirect" else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", bodies
        running.shutdown()
        thread.join()


def test_over_a_real_connection(server: tuple[str, list[bytes]]) -> None:
    """The same happens on the wire: delivered once, a redirect not followed, a closed port recoverable."""
    address, bodies = server
    real = WebhookNotifier(WebhookNotifier.Config.model_validate({"url": address}), Context())
    real.notify(example_change())
    assert json.loads(bodies[0])["key"] == example_change().key
    moved = WebhookNotifier(WebhookNotifier.Config.model_validate({"url": f"{address}/redirect"}), Context())
    with pytest.raises(DeliveryError) as caught:
        moved.notify(example_change())
    assert (caught.value.reason, len(bodies)) == ("redirect", 2)
    closed = WebhookNotifier(WebhookNotifier.Config.model_validate({"url": "http://127.0.0.1:1"}), Context())
    with pytest.raises(DeliveryError) as caught:
        closed.notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("connect", True)
    for one in (real, moved, closed):
        one.close()
