"""Options of a connection over HTTP: TLS, proxy, credentials and limits, named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
A plug-in's ``Config`` derives from one of these classes, so that the keys stand at its top level:

===================  =========================================================================
derive from          for
===================  =========================================================================
`ConnectionOptions`  a service with a token of its own (Slack, PagerDuty, Grafana)
`ServerOptions`      one request to a server that may stand behind anything (Alertmanager)
`HttpOptions`        several tries and large answers: readers and writers
===================  =========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.http.address import Address
from tsdiff_monitor.http.keys import Authorization, BasicAuth, TlsConfig, check_headers, fits_header
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.model import StrictModel

__all__ = [
    "Authorization",
    "BasicAuth",
    "ConnectionOptions",
    "HttpOptions",
    "Limits",
    "ServerOptions",
    "TlsConfig",
    "check_credentials",
    "check_headers",
    "fits_header",
]

_OWN_HEADERS = ("accept", "accept-encoding", "user-agent", "x-prometheus-remote-write-version")
_SMALL_ANSWER = 8 * 1024**2  # bytes


class ConnectionOptions(StrictModel):
    """Keys of every connection over HTTP."""

    tls_config: TlsConfig = TlsConfig()
    """Certificates: `ca_file`, `cert_file`, `key_file`, `server_name`, `insecure_skip_verify`."""
    proxy_url: SecretStr | None = None
    """Proxy to go through, `http://` or `https://`, with `user:password@` where it asks for it. The variables
    `HTTP_PROXY` and the like of the environment are not used."""
    follow_redirects: bool = False
    """Follow the server's redirects. Credentials and `http_headers` are never sent to another host."""
    http_headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers added to each request, such as `X-Scope-OrgID`; the values are masked."""
    timeout: Duration = timedelta(seconds=10)
    """Limit of the whole exchange, connecting and the body included."""

    @field_validator("proxy_url")
    @classmethod
    def _a_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is not None:
            address = Address.parse(proxy)
            if address.url.path not in ("", "/") or address.url.query:
                raise ValueError("the address of a proxy ends after its port, like http://proxy:3128")
        return proxy

    @field_validator("http_headers")
    @classmethod
    def _headers_that_count(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return check_headers(headers, who="notifier")

    @field_validator("timeout")
    @classmethod
    def _positive(cls, span: timedelta) -> timedelta:
        if span <= timedelta(0):
            raise ValueError("it must be positive, like 30s")
        return span


class ServerOptions(ConnectionOptions):
    """The same with credentials. A derived class names its address `url` where it has one."""

    basic_auth: BasicAuth | None = None
    """User name and password: `username`, and `password` or `password_file`."""
    authorization: Authorization | None = None
    """A token: `type` (`Bearer` when left out), and `credentials` or `credentials_file`."""

    @model_validator(mode="after")
    def _credentials_once(self) -> Self:
        check_credentials(self, getattr(self, "url", None))
        return self


class HttpOptions(ServerOptions):
    """The same with tries and limits, for readers and writers."""

    enable_compression: bool = False
    """Ask for compressed answers. Worth it over slow lines only: packing 9 MB takes Prometheus 1.7 s."""
    connect_timeout: Duration = timedelta(seconds=5)
    """Longest wait for a connection."""
    read_timeout: Duration = timedelta(seconds=30)
    """Longest wait for each part of the answer, so also for the server to compute it."""
    timeout: Duration = timedelta(minutes=2)
    """Limit of the whole exchange, the body and all tries included."""
    retries: int = Field(default=3, ge=0, le=20)
    """Most times that a request is sent again after lost connections, `429` and `5xx`."""
    max_response_bytes: int = Field(default=256 * 1024**2, gt=0)
    """The largest answer that is accepted, in bytes after decompression."""

    @field_validator("http_headers")
    @classmethod
    def _headers_that_count(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return check_headers(headers, who="connector", own=_OWN_HEADERS)

    @field_validator("connect_timeout", "read_timeout")
    @classmethod
    def _positive_waits(cls, span: timedelta) -> timedelta:
        return cls._positive(span)


@dataclass(frozen=True)
class Limits:
    """Limits of an exchange, in seconds and bytes, whichever options it has."""

    total: float
    connect: float
    read: float
    retries: int
    response_bytes: int
    compression: bool

    @classmethod
    def of(cls, options: ConnectionOptions) -> Limits:
        """The limits given; without :class:`HttpOptions` one try, and no wait is shorter than the whole exchange."""
        total = options.timeout.total_seconds()
        if not isinstance(options, HttpOptions):
            return cls(total, total, total, 0, _SMALL_ANSWER, False)
        connect, read = options.connect_timeout.total_seconds(), options.read_timeout.total_seconds()
        return cls(total, connect, read, options.retries, options.max_response_bytes, options.enable_compression)


def check_credentials(options: ConnectionOptions, url: str | SecretStr | None) -> None:
    """Raises ``ValueError`` naming the keys where credentials are given more than once."""
    url = url.get_secret_value() if isinstance(url, SecretStr) else url
    server = options if isinstance(options, ServerOptions) else None
    given = [
        name
        for name, there in (
            ("user:password@ in `url`", isinstance(url, str) and _has_userinfo(url)),
            ("`basic_auth`", server is not None and server.basic_auth is not None),
            ("`authorization`", server is not None and server.authorization is not None),
            ("`http_headers.Authorization`", any(name.lower() == "authorization" for name in options.http_headers)),
        )
        if there
    ]
    if len(given) > 1:
        raise ValueError(f"credentials are given both as {' and as '.join(given)}; keep one")


def _has_userinfo(url: str) -> bool:
    try:
        return bool(httpx.URL(url.strip()).userinfo)
    except httpx.InvalidURL:  # said by the address' own check
        return False
