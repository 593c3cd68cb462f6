"""Real servers, shared by all tests of a session where that is safe; ended by pid at its end."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import bcrypt
import pytest

from tests.servers.certificates import Authority, Pair
from tests.servers.faults import FaultProxy
from tests.servers.prometheus import Scrape, start_exporter, start_prometheus
from tests.servers.stores import start_influx1, start_postgres, start_victoria
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context


class PrometheusServer(Protocol):
    def __call__(
        self,
        history: str | Path | None = None,
        scrape: Sequence[Scrape] = (),
        web_config: Mapping[str, Any] | None = None,
        *,
        probe: Mapping[str, Any] | None = None,
        fresh: bool = False,
        flags: Sequence[str] = (),
    ) -> str: ...


@pytest.fixture(scope="session")
def running() -> Iterator[ExitStack]:
    """Resources that are to be ended with the session."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A new folder for a server."""
    return lambda name: tmp_path_factory.mktemp(name)


@pytest.fixture(scope="session")
def prometheus_server(running: ExitStack, server_folder: Callable[[str], Path]) -> PrometheusServer:
    """Addresses of Prometheus servers. Equal arguments share one: who writes into it asks for a ``fresh`` one."""
    shared: dict[str, str] = {}

    def start(
        history: str | Path | None = None,
        scrape: Sequence[Scrape] = (),
        web_config: Mapping[str, Any] | None = None,
        *,
        probe: Mapping[str, Any] | None = None,
        fresh: bool = False,
        flags: Sequence[str] = (),
    ) -> str:
        key = repr((history, tuple(scrape), web_config, tuple(flags)))
        if fresh or key not in shared:
            folder = server_folder("prometheus")
            server = start_prometheus(
                folder, history=history, scrape=scrape, web_config=web_config, probe=probe, flags=flags
            )
            running.callback(server.stop)
            if fresh:
                return server.url
            shared[key] = server.url
        return shared[key]

    return start


@dataclass(frozen=True)
class SecurePrometheus:
    """A Prometheus behind TLS and basic authentication, and what one needs to get in."""

    url: str
    ca_file: Path
    username: str
    password: str
    client: Pair
    """Our certificate; the server asks for one when it is ``mutual``."""


SecureServer = Callable[..., SecurePrometheus]


@pytest.fixture(scope="session")
def authority(server_folder: Callable[[str], Path]) -> Authority:
    """Signs the servers' and the clients' certificates."""
    return Authority(server_folder("authority"))


@pytest.fixture(scope="session")
def secure_prometheus(prometheus_server: PrometheusServer, authority: Authority) -> SecureServer:
    """Prometheus with TLS and a password; ``mutual`` ones let in only those who show a certificate."""
    usual, client = authority.issue("server"), authority.issue("client")
    hashed = bcrypt.hashpw(b"correct-horse", bcrypt.gensalt(4)).decode()

    def start(*, mutual: bool = False, certificate: Pair | None = None) -> SecurePrometheus:
        server = certificate or usual
        tls = {"cert_file": str(server.cert_file), "key_file": str(server.key_file)}
        if mutual:
            tls |= {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.ca_file)}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # expired ones are started on purpose
        context.load_cert_chain(client.cert_file, client.key_file)
        url = prometheus_server(
            web_config={"tls_server_config": tls, "basic_auth_users": {"robot": hashed}},
            probe={"verify": context, "auth": ("robot", "correct-horse")},
        )
        return SecurePrometheus(url, authority.ca_file, "robot", "correct-horse", client)

    return start


def access(server: SecurePrometheus, **tls: Any) -> dict[str, Any]:
    """Options of a client that get in, with further keys of ``tls_config``; it tries once."""
    basic = {"username": server.username, "password": server.password}
    return {"basic_auth": basic, "tls_config": {"ca_file": server.ca_file, **tls}, "retries": 0}


MakeClient = Callable[..., HttpClient]


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Clients on the real network that pause a hundredth of the usual between tries; closed after the test."""
    with ExitStack() as stack:

        def build(url: str, **options: Any) -> HttpClient:
            checked = HttpOptions.model_validate(options)
            client = HttpClient(url, checked, Context(), sleep=lambda seconds: time.sleep(seconds / 100))
            stack.callback(client.close)
            return client

        yield build


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str], FaultProxy]]:
    """Puts a proxy that misbehaves on request in front of a server: ``proxy = fault_proxy(url)``."""
    with ExitStack() as stack:

        def start(upstream: str) -> FaultProxy:
            proxy = FaultProxy(upstream)
            stack.callback(proxy.close)
            return proxy

        yield start


@pytest.fixture(scope="session")
def exporter(running: ExitStack, server_folder: Callable[[str], Path]) -> str:
    """``host:port`` of a node exporter, to be scraped."""
    server = start_exporter(server_folder("exporter"))
    running.callback(server.stop)
    return server.url.removeprefix("http://")


@pytest.fixture(scope="session")
def victoria_server(running: ExitStack, server_folder: Callable[[str], Path]) -> str:
    """Address of the one VictoriaMetrics: each test writes metrics with names of its own."""
    server = start_victoria(server_folder("victoria"))
    running.callback(server.stop)
    return server.url


@pytest.fixture(scope="session")
def influx1_server(running: ExitStack, server_folder: Callable[[str], Path]) -> str:
    """Address of the one InfluxDB 1.6: each test creates a database of its own."""
    server = start_influx1(server_folder("influx1"))
    running.callback(server.stop)
    return server.url


@pytest.fixture(scope="session")
def postgres_server(running: ExitStack) -> str:
    """SQLAlchemy address of the one PostgreSQL: each test creates a schema or database of its own."""
    server = start_postgres()
    running.callback(server.remove)
    return server.url
