"""How a server is spoken to over HTTP: credentials, TLS, proxy and limits, named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
A reader's or writer's ``Config`` derives from :class:`HttpOptions`, so that the keys stand at its top level.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Self

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_connectors.http_address import Address
from tsdiff_monitor.http.options import Authorization, BasicAuth, TlsConfig, check_headers
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Authorization", "BasicAuth", "HttpOptions", "TlsConfig"]

_OWN_HEADERS = ("accept", "accept-encoding", "user-agent", "x-prometheus-remote-write-version")


class HttpOptions(StrictModel):
    """What every connection over HTTP can be told. A derived class names its address `url`."""

    basic_auth: BasicAuth | None = None
    """User name and password: `username`, and `password` or `password_file`."""
    authorization: Authorization | None = None
    """A token: `type` (`Bearer` when left out), and `credentials` or `credentials_file`."""
    tls_config: TlsConfig = TlsConfig()
    """Certificates: `ca_file`, `cert_file`, `key_file`, `server_name`, `insecure_skip_verify`."""
    proxy_url: SecretStr | None = None
    """Proxy to go through, `http://` or `https://`, with `user:password@` where it asks for it. The variables
    `HTTP_PROXY` and the like of the environment are not used."""
    follow_redirects: bool = False
    """Whether to go where the server redirects to. Credentials and `http_headers` are never sent to another host."""
    http_headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers added to each request, such as `X-Scope-OrgID`; the values are masked."""
    enable_compression: bool = False
    """Whether to ask for compressed answers. Worth it over slow lines only: packing 9 MB takes Prometheus 1.7 s."""
    connect_timeout: Duration = timedelta(seconds=5)
    """How long to wait for a connection."""
    read_timeout: Duration = timedelta(seconds=30)
    """How long to wait for each part of the answer, so also for the server to compute it."""
    timeout: Duration = timedelta(minutes=2)
    """How long the whole exchange may take, the body and all tries included."""
    retries: int = Field(default=3, ge=0, le=20)
    """How often a request is sent again after lost connections, `429` and `5xx`."""
    max_response_bytes: int = Field(default=256 * 1024**2, gt=0)
    """The largest answer that is accepted, in bytes after decompression."""

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
        return check_headers(headers, who="connector", own=_OWN_HEADERS)

    @field_validator("connect_timeout", "read_timeout", "timeout")
    @classmethod
    def _positive(cls, span: timedelta) -> timedelta:
        if span <= timedelta(0):
            raise ValueError("it must be positive, like 30s")
        return span

    @model_validator(mode="after")
    def _credentials_once(self) -> Self:
        check_credentials(self, getattr(self, "url", None))
        return self


def check_credentials(options: HttpOptions, url: str | SecretStr | None) -> None:
    """Raises ``ValueError`` naming the keys where credentials are given more than once."""
    url = url.get_secret_value() if isinstance(url, SecretStr) else url
    given = [
        name
        for name, there in (
            ("user:password@ in `url`", isinstance(url, str) and _has_userinfo(url)),
            ("`basic_auth`", options.basic_auth is not None),
            ("`authorization`", options.authorization is not None),
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
