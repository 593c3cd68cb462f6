"""How a server is spoken to over HTTP: credentials, TLS, proxy and limits, named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
A reader's or writer's ``Config`` derives from :class:`HttpOptions`, so that the keys stand at its top level.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Self

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_connectors.http_address import Address
from tsdiff_monitor.durations import Duration
from tsdiff_monitor.settings_model import StrictModel

__all__ = ["Authorization", "BasicAuth", "HttpOptions", "TlsConfig"]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = {
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authorization",
    "transfer-encoding",
    "user-agent",
    "x-prometheus-remote-write-version",
}


class BasicAuth(StrictModel):
    """A user name and its password."""

    username: str = Field(min_length=1)
    """The user's name."""
    password: SecretStr | None = None
    """The password; better given as `password_file` or as `${NAME}`."""
    password_file: Path | None = None
    """File that holds the password; read again at each request."""

    @field_validator("username")
    @classmethod
    def _no_colon(cls, username: str) -> str:
        if ":" in username:
            raise ValueError("a user name for basic authentication cannot hold a colon")
        return username


class Authorization(StrictModel):
    """The header `Authorization`: a type and the credentials behind it."""

    type: str = "Bearer"
    """What stands before the credentials, such as `Bearer` or (InfluxDB) `Token`."""
    credentials: SecretStr | None = None
    """The token; better given as `credentials_file` or as `${NAME}`."""
    credentials_file: Path | None = None
    """File that holds the token; read again at each request."""

    @field_validator("type")
    @classmethod
    def _a_word(cls, type: str) -> str:  # noqa: A002 (the user's key)
        if not _TOKEN.fullmatch(type):
            raise ValueError("the type is one word, like Bearer")
        if type.lower() == "basic":
            raise ValueError("for a user name and a password use `basic_auth`")
        return type

    @model_validator(mode="after")
    def _some_credentials(self) -> Self:
        if self.credentials is None and self.credentials_file is None:
            raise ValueError("give `credentials` or `credentials_file`")
        return self


class TlsConfig(StrictModel):
    """Whom to trust, and who we are. Files that change take effect at the next request."""

    ca_file: Path | None = None
    """Certificates (PEM) of the authorities to trust, instead of those of the system."""
    cert_file: Path | None = None
    """Our own certificate (PEM), for servers that ask for one."""
    key_file: Path | None = None
    """The private key (PEM, not encrypted) of `cert_file`."""
    server_name: str | None = Field(default=None, min_length=1)
    """The name to expect in the server's certificate, where it is not the host of the address."""
    insecure_skip_verify: bool = False
    """Trust whoever answers. Anyone in between can then read and change everything, credentials included."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together; give both")
        if self.insecure_skip_verify and self.ca_file is not None:
            raise ValueError("`ca_file` has no effect with `insecure_skip_verify`; keep one of the two")
        return self


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
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not a header name")
            if name.lower() in _RESERVED:
                raise ValueError(f"the header {name} is set by the connector itself; remove it")
            if not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
                raise ValueError(f"the value of the header {name} may hold printable ASCII only")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is given twice; upper and lower case are the same")
        return headers

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
