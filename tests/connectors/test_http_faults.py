"""The client against a real Prometheus behind a proxy that misbehaves: faults, deadlines on sockets, proxies."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.connectors.conftest import MakeClient, PrometheusServer, SecureServer, access
from tests.servers.faults import FaultProxy
from tests.servers.scripted import failed
from tsdiff_monitor.http.client import HttpFailure
from tsdiff_monitor.http.transport import Deadline, DeadlineTransport

Proxy = Callable[[str], FaultProxy]


class TestFaults:
    """Results of each fault between us and a real Prometheus."""

    @pytest.fixture
    def proxy(self, prometheus_server: PrometheusServer, fault_proxy: Proxy) -> FaultProxy:
        return fault_proxy(prometheus_server())

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"reset": True}, "connect"),
            ({"cut_after": 0}, "connect"),
            ({"cut_after": 90}, "connect"),
            ({"cut_after": 400}, "connect"),
            ({"reset_after": 400}, "connect"),
            ({"status": 429, "headers": {"Retry-After": "1"}}, "rate_limited"),
            ({"status": 500}, "server_error"),
        ],
        ids=str,
    )
    def test_passing_faults_are_outlived(
        self, proxy: FaultProxy, make_client: MakeClient, fault: dict[str, Any], reason: str
    ) -> None:
        """Twice broken, the third try brings the whole answer; broken for ever, the reason is reported."""
        client = make_client(proxy.url)
        whole = client.send("GET", "/api/v1/status/flags").content
        proxy.fault(**fault, times=2)
        assert client.send("GET", "/api/v1/status/flags").content == whole
        assert len(proxy.requests) == 4
        proxy.fault(**fault)
        broken = failed(client, "/api/v1/status/flags")
        assert (broken.reason, broken.recoverable, len(proxy.requests)) == (reason, True, 8)

    @pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\x00\x01\x02\x03" * 40, b"HTTP/1.1 abc\r\n\r\n"])
    def test_garbage(self, proxy: FaultProxy, make_client: MakeClient, raw: bytes) -> None:
        """An answer that is no HTTP is said to be none, and not asked again."""
        proxy.fault(raw=raw)
        assert failed(make_client(proxy.url)).reason == "garbled"
        assert len(proxy.requests) == 1

    @pytest.mark.parametrize(
        "fault",
        [{"silent": True}, {"latency": 60.0}, {"drip": 0.03}, {"drip": 0.03, "drip_size": 40}],
        ids=["silent", "late", "headers drip", "body drips"],
    )
    def test_hard_deadline(self, proxy: FaultProxy, make_client: MakeClient, fault: dict[str, Any]) -> None:
        """However a server delays, headers drip by drip included, the call ends at ``timeout``."""
        proxy.fault(**fault)
        client = make_client(proxy.url, timeout="400ms")
        begin = time.monotonic()
        late = failed(client, "/api/v1/status/flags")
        assert 0.35 < time.monotonic() - begin < 1.5
        assert late.reason == "timeout"
        assert "no whole answer within 400ms" in late.message

    def test_read_timeout(self, proxy: FaultProxy, make_client: MakeClient) -> None:
        """Silence longer than ``read_timeout`` ends the call before ``timeout`` does, without a second try."""
        proxy.fault(silent=True)
        silent = failed(make_client(proxy.url, read_timeout="100ms"))
        assert (silent.reason, len(proxy.requests)) == ("timeout", 1)
        assert "nothing came for 100ms" in silent.message

    @pytest.mark.parametrize("pause", [None, 0.01], ids=["nothing", "drop by drop"])
    def test_deadline_while_sending(self, make_client: MakeClient, pause: float | None) -> None:
        """A server that takes in nothing, or takes it in drop by drop, does not hold us beyond the deadline."""

        def sip() -> None:
            taken, _ = server.accept()
            with taken:
                while pause is not None and taken.recv(2**18):
                    time.sleep(pause)

        with socket.create_server(("127.0.0.1", 0)) as server:
            drinker = threading.Thread(target=sip)
            client = make_client(f"http://127.0.0.1:{server.getsockname()[1]}", timeout="300ms")
            if pause is not None:
                drinker.start()
            begin = time.monotonic()
            with pytest.raises(HttpFailure) as caught:
                client.send("POST", "/write", content=bytes(2**26))
            lasted = time.monotonic() - begin
            client.close()
            if pause is not None:
                drinker.join()
        assert caught.value.reason == "timeout"
        assert lasted < 1.5

    def test_dead_server(self, make_client: MakeClient) -> None:
        """A port where no one listens, and a name that cannot exist."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        refused = failed(make_client(f"http://127.0.0.1:{port}"))
        assert refused.reason == "connect"
        assert "Connection refused" in refused.message
        assert failed(make_client(f"http://{'x' * 64}.invalid")).reason == "connect"

    def test_every_address_of_a_name_is_tried(self, prometheus_server: PrometheusServer) -> None:
        """A name that leads to a dead address first reaches the server at the next one."""
        port = urlsplit(prometheus_server()).port

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            assert host == "two.example"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.2", "127.0.0.1")]

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = DeadlineTransport(Deadline(time.monotonic), verify=context, resolve=resolve)
        with httpx.Client(transport=transport) as client:
            assert client.get(f"http://two.example:{port}/-/ready").status_code == 200

    def test_stream_can_be_left_early(self, proxy: FaultProxy, make_client: MakeClient) -> None:
        """A caller that has seen enough of a body leaves, and the client goes on working."""
        client = make_client(proxy.url)
        with client.stream("GET", "/metrics") as pieces:
            assert next(pieces)
        assert client.send("GET", "/-/ready").status == 200

    def test_streams_have_deadlines_of_their_own(self, proxy: FaultProxy, make_client: MakeClient) -> None:
        """A stream that is read on after another exchange of the same thread still ends at its own deadline."""
        proxy.fault(drip=60.0, drip_size=400, times=1)
        client = make_client(proxy.url, timeout="800ms")
        begin = time.monotonic()
        with pytest.raises(HttpFailure) as caught, client.stream("GET", "/api/v1/status/flags") as pieces:
            assert next(pieces)
            time.sleep(0.6)
            client.send("GET", "/-/ready")
            next(pieces)
        assert caught.value.reason == "timeout"
        assert time.monotonic() - begin < 1.3


class TestForwardProxy:
    """``proxy_url``, in front of plain and of TLS servers."""

    def test_plain(self, make_client: MakeClient, prometheus_server: PrometheusServer, fault_proxy: Proxy) -> None:
        """The proxy is asked for the whole address, with its own credentials; the server's reach the server."""
        server = prometheus_server()
        proxy = fault_proxy(server)
        through = proxy.url.replace("http://", "http://gate:proxy-pass@")
        assert make_client(server, proxy_url=through).send("GET", "/-/ready").status == 200
        assert proxy.requests[0].startswith(f"GET {server}/-/ready".encode())
        assert b"proxy-authorization: basic" in proxy.requests[0].lower()

    def test_refusing(self, make_client: MakeClient, secure_prometheus: SecureServer, fault_proxy: Proxy) -> None:
        """A proxy that wants credentials is distinguished from a server that does."""
        server = secure_prometheus()
        proxy = fault_proxy(server.url.replace("https", "http"))
        for status, reason in ((407, "auth"), (502, "connect")):
            proxy.fault(status=status)
            refused = failed(make_client(server.url, **access(server), proxy_url=proxy.url))
            assert refused.reason == reason
        proxy.fault(status=407)
        plain = failed(make_client(server.url.replace("https", "http"), proxy_url=proxy.url))
        assert plain.reason == "auth"
        assert "`proxy_url`" in plain.message


def test_nothing_is_left_behind(make_client: MakeClient, prometheus_server: PrometheusServer) -> None:
    """A closed client keeps neither thread nor socket, may be closed again, and a new call opens it anew."""
    threads = threading.active_count()
    client = make_client(prometheus_server())
    client.send("GET", "/-/ready")
    client.close()
    client.close()
    assert threading.active_count() == threads
    assert client.send("GET", "/-/ready").status == 200
