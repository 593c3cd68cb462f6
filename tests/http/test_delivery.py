"""The common rules of notifiers that speak HTTP: who is trusted, who we are, what the outcome means."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.servers.certificates import Authority, Pair
from tests.servers.scripted import Clock, Dripping
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.options import ConnectionOptions, ServerOptions
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock

Seen = list[dict[str, str]]
Serve = Callable[..., tuple[str, Seen]]
Close = Callable[[DeliveryClient], DeliveryClient]
URL = httpx.URL("https://service.example/path")


def sender(handler: Any = None, options: ConnectionOptions | None = None, **more: Any) -> DeliveryClient:
    """A sender whose network is ``handler``; the real one without."""
    transport = None if handler is None else httpx.MockTransport(handler)
    context = Context(name="mine", now=FakeClock(), transport=transport)
    return DeliveryClient(options or ConnectionOptions(), context, kind="thing", **more)


def failure(of: DeliveryClient, url: httpx.URL = URL, **how: Any) -> DeliveryError:
    """The error of a request that fails."""
    with pytest.raises(DeliveryError) as caught:
        of.send("POST", url, **how)
    return caught.value


@pytest.fixture
def close() -> Iterator[Close]:
    """Closes senders at the end of a test."""
    with ExitStack() as stack:

        def kept(one: DeliveryClient) -> DeliveryClient:
            stack.callback(one.close)
            return one

        yield kept


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that keep the headers and the request line of what they get and answer 204."""
    with ExitStack() as stack:

        def start(pair: Pair | None = None, clients: Path | None = None) -> tuple[str, Seen]:
            seen: Seen = []

            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    seen.append({"line": self.requestline, **{k.lower(): v for k, v in self.headers.items()}})
                    self.send_response(204)
                    self.end_headers()

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # failing handshakes are the point
            if pair is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
                context.load_cert_chain(pair.cert_file, pair.key_file)
                context.verify_mode = ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http{'' if pair is None else 's'}://127.0.0.1:{server.server_port}/", seen

        yield start


def test_credentials_headers_and_content_type() -> None:
    """The user's headers and credentials go out with each request, each header once in any case."""
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": 7})

    headers = {"X-Org": "4", "user-agent": "ours"}
    options = ServerOptions.model_validate({"basic_auth": {"username": "u", "password": "p"}, "http_headers": headers})
    answer = sender(accept, options).send("PATCH", URL, content=b"{}", headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.json()) == (200, {"id": 7})
    (request,) = seen
    assert (
        request.method == "PATCH" and request.headers["Authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"
    )
    assert (request.headers["X-Org"], request.headers["Idempotency-Key"]) == ("4", "k")
    assert request.headers.get_list("User-Agent") == ["ours"]
    assert request.headers["Content-Type"] == "application/json"


def test_tokens_from_files_are_read_each_time(tmp_path: Path) -> None:
    """A token may be rotated; one that no header can carry is said to be so, without being shown."""
    (tmp_path / "token").write_text("one\n")
    seen: list[str] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200)

    options = ServerOptions.model_validate({"authorization": {"credentials_file": tmp_path / "token"}})
    target = sender(accept, options)
    target.send("POST", URL)
    (tmp_path / "token").write_text("two")
    target.send("POST", URL)
    assert seen == ["Bearer one", "Bearer two"]
    (tmp_path / "token").write_text("secret\nlines")
    error = failure(target)
    assert (error.reason, error.recoverable) == ("config", True) and "secret" not in str(error)


def test_answers_are_read_up_to_a_limit() -> None:
    """An endless answer, or one that drips, or breaks off, costs neither memory nor time; the status counts."""

    def drip(broken: bool) -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000
        if broken:
            raise httpx.ReadError("gone")
        while True:
            yield b"x" * 1000

    assert len(sender(lambda _: httpx.Response(200, content=drip(False))).send("POST", URL).content) == 1 << 16
    assert len(sender(lambda _: httpx.Response(200, content=drip(True))).send("POST", URL).content) == 5000
    assert sender(lambda _: httpx.Response(200, content=drip(False))).send("POST", URL, read=0).content == b""
    clock = Clock()
    slow = sender(lambda _: httpx.Response(200, stream=Dripping(clock, 100)), monotonic=clock)
    assert slow.send("POST", URL).content == b"x" * 9  # ten seconds for all of it
    garbled = sender(lambda _: httpx.Response(200, content=b"\xff{")).send("POST", URL)
    assert garbled.json() is None and garbled.text == "\N{REPLACEMENT CHARACTER}{"


@pytest.mark.parametrize("part", [0, len(b"HTTP/1.1 200 OK\r\nX-Slow: ")], ids=["first line", "header"])
def test_a_server_that_drips_headers_is_left_at_the_deadline(close: Close, part: int) -> None:
    """A byte of the headers now and then, for ever, holds a notifier no longer than its `timeout`."""
    left = threading.Event()

    def drip(server: socket.socket) -> None:
        taken, _ = server.accept()
        with taken, suppress(OSError):
            taken.recv(1 << 16)
            taken.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: "[:part])
            while not left.wait(0.02):
                taken.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        target = close(sender(None, ConnectionOptions.model_validate({"timeout": "300ms"})))
        begin = time.monotonic()
        error = failure(target, httpx.URL(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        lasted = time.monotonic() - begin
        left.set()
        dripping.join()
    assert (error.reason, error.recoverable) == ("timeout", True) and "no whole answer within 300ms" in str(error)
    assert lasted < 1.5


def test_addresses_are_secrets() -> None:
    """Of a whole address, messages show the host alone, also when the server repeats the rest of it."""
    url = httpx.URL("https://robot:pass-word@service.example/hooks/T0123456789abcdef?key=hidden-key")
    for answer in (httpx.Response(404, text=f"no {url}"), httpx.Response(500, json={"error": str(url)})):
        said = str(failure(sender(lambda _, answer=answer: answer), url))
        assert "https://service.example" in said
        assert not [part for part in ("pass-word", "T0123456789abcdef", "hidden-key", "hooks") if part in said]


def test_redirects_keep_secrets(close: Close) -> None:
    """If they are followed, another host gets neither the user's headers nor those of the request."""
    seen: list[httpx.Request] = []

    def lead(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        there = request.url.host == "other.example"
        return httpx.Response(200 if there else 307, headers={} if there else {"Location": "https://other.example/"})

    options = ServerOptions.model_validate(
        {"follow_redirects": True, "authorization": {"credentials": "hidden"}, "http_headers": {"X-Org": "hidden"}}
    )
    close(sender(lead, options)).send("POST", URL, content=b"{}", headers={"X-Signature": "hidden"})
    assert [request.url.host for request in seen] == ["service.example", "other.example"]
    assert "hidden" in str(seen[0].headers.raw) and "hidden" not in str(seen[1].headers.raw)
    assert (seen[1].method, seen[1].content, seen[1].headers["Content-Type"]) == ("POST", b"{}", "application/json")


def test_statuses_that_a_caller_knows() -> None:
    """A caller may take a refusal as an answer, and say what fixes another one."""
    answer = sender(lambda _: httpx.Response(404, text="gone")).send("POST", URL, accept=(404,))
    assert (answer.status, answer.text) == (404, "gone")
    error = failure(sender(lambda _: httpx.Response(404)), remedies={404: "check `dashboard`"})
    assert "thing 'mine': https://service.example: status 404 Not Found; check `dashboard`" in str(error)


def test_certificates(serve: Serve, close: Close, tmp_path: Path) -> None:
    """Servers are checked against `ca_file` and `server_name`; a new certificate counts without a restart."""
    ours, strangers = Authority(tmp_path), Authority(tmp_path, "Strangers")
    url, seen = serve(ours.issue("server"), ours.ca_file)
    client, other = ours.issue("client"), strangers.issue("other")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(strangers.ca_file.read_bytes())
    shown = {"cert_file": client.cert_file, "key_file": client.key_file}

    def made(**tls: Any) -> DeliveryClient:
        return close(sender(None, ConnectionOptions.model_validate({"tls_config": tls})))

    rotating = made(ca_file=trusted, **shown)
    for target, said in (
        (rotating, "name the certificate's authority in `tls_config.ca_file`"),
        (made(ca_file=ours.ca_file, server_name="other.example", **shown), "set `tls_config.server_name`"),
        (made(), "tls_config.ca_file"),
    ):
        error = failure(target, httpx.URL(url))
        assert (error.reason, error.recoverable) == ("tls", True) and said in str(error)
    trusted.write_bytes(ours.ca_file.read_bytes())
    rotating.send("POST", httpx.URL(url))
    made(ca_file=ours.ca_file, server_name="localhost", **shown).send("POST", httpx.URL(url))
    made(insecure_skip_verify=True, **shown).send("POST", httpx.URL(url))
    assert len(seen) == 3
    refused = made(ca_file=ours.ca_file, cert_file=other.cert_file, key_file=other.key_file)
    assert failure(refused, httpx.URL(url)).reason in ("tls", "connect")  # TLS 1.3 says late, or just hangs up
    for tls, said in (
        ({"ca_file": tmp_path / "none"}, "tls_config.ca_file: cannot be read"),
        ({"ca_file": client.key_file}, "holds no certificate"),
        ({"cert_file": client.cert_file, "key_file": other.key_file}, "does not belong to the certificate"),
    ):
        with pytest.raises(DeliveryError, match=said) as caught:
            made(**tls).send("POST", httpx.URL(url))
        assert (caught.value.reason, caught.value.recoverable) == ("config", True)


def test_a_proxy(serve: Serve, close: Close, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go through `proxy_url`, and only through it: the environment's proxies are ignored."""
    proxy, passed = serve()
    direct, seen = serve()
    options = ConnectionOptions.model_validate({"proxy_url": proxy.replace("://", "://robot:proxy-word@")})
    target = close(sender(None, options))
    target.send("POST", httpx.URL("http://service.example/path"))
    assert passed[0]["line"] == "POST http://service.example/path HTTP/1.1"
    assert passed[0]["proxy-authorization"] == f"Basic {base64.b64encode(b'robot:proxy-word').decode()}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    close(sender()).send("POST", httpx.URL(direct))
    assert (len(passed), len(seen)) == (1, 1)
    assert "proxy-word" not in repr(options) + repr(target)


def test_a_proxy_with_tls_of_its_own(serve: Serve, close: Close, tmp_path: Path) -> None:
    """Within the proxy's TLS lies the server's: `server_name` is the name of the server, not of the proxy."""
    authority = Authority(tmp_path)
    url, seen = serve(authority.issue("server", hosts=("service.internal",)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = authority.issue("proxy")
    context.load_cert_chain(pair.cert_file, pair.key_file)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def pass_on(server: socket.socket) -> None:
        taken, _ = server.accept()
        with context.wrap_socket(taken, server_side=True) as outer:
            asked.append(outer.recv(1 << 16))
            with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as inner:
                outer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(inner, outer))
                back.start()
                pump(outer, inner)
                back.join()

    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        passing = threading.Thread(target=pass_on, args=(server,))
        passing.start()
        tls = {"ca_file": authority.ca_file, "server_name": "service.internal"}
        proxy = f"https://localhost:{server.getsockname()[1]}"
        target = sender(None, ConnectionOptions.model_validate({"proxy_url": proxy, "tls_config": tls}))
        target.send("POST", httpx.URL(url))
        target.close()
        passing.join()
    assert asked[0].startswith(b"CONNECT 127.0.0.1:") and len(seen) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"proxy_url": "proxy:hidden"}, "this is not an address"),
        ({"timeout": "0s"}, "must be positive"),
        ({"http_headers": {"Authorization": "hidden"}, "authorization": {"credentials": "hidden"}}, "keep one"),
        ({"http_headers": {"Host": "hidden"}}, "the header Host is set by the notifier itself"),
    ],
)
def test_mistakes_in_the_options(wrong: dict[str, Any], said: str) -> None:
    """Each mistake is refused in words that name the remedy and show no secret."""
    with pytest.raises(ValidationError) as caught:
        ServerOptions.model_validate(wrong)
    assert said in str(caught.value) and "hidden" not in str(caught.value)
