"""How a service is spoken to over HTTP: TLS, proxy, headers, credentials, time-out; named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
A notifier's ``Config`` derives from :class:`HttpOptions`, or, for servers of the user's own, from
:class:`ServerOptions`, so that the keys stand at its top level.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

import httpx
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.durations import Duration
from tsdiff_monitor.settings_model import StrictModel

__all__ = ["Authorization", "BasicAuth", "HttpHeaders", "HttpOptions", "ServerOptions", "TlsConfig", "Url"]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = {"connection", "content-encoding", "content-length", "content-type", "host", "keep-alive"}
_RESERVED |= {"proxy-authorization", "transfer-encoding"}


def parsed(url: str) -> httpx.URL | None:
    """The address, or None where it is none of ``http://`` or ``https://`` with a host."""
    try:
        found = httpx.URL(url.strip())
    except httpx.InvalidURL:
        return None
    return found if found.scheme in ("http", "https") and found.host else None


def check_headers(headers: dict[str, SecretStr], own: Collection[str] = ()) -> dict[str, SecretStr]:
    """``headers`` as they are. Raises ``ValueError`` where one cannot be sent, or is in ``own`` (in lower case)."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if name.lower() in {*_RESERVED, *own}:
            raise ValueError(f"the header {name} is set by the notifier itself; remove it")
        if not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
            raise ValueError(f"the value of the header {name} may hold printable ASCII only")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice; upper and lower case are the same")
    return headers


def _an_address(url: SecretStr) -> SecretStr:
    if parsed(url.get_secret_value()) is None:
        raise ValueError("this is not an address; write it like https://host/path")
    return url


Url = Annotated[SecretStr, AfterValidator(_an_address)]
"""A pydantic field type: an address, checked when the configuration is read, masked when it is shown."""

HttpHeaders = Annotated[dict[str, SecretStr], AfterValidator(check_headers)]
"""A pydantic field type: headers that can be sent, with masked values."""


class BasicAuth(StrictModel):
    """A user name and its password."""

    username: str = Field(min_length=1, pattern=r"^[^:]*$")
    """The user's name, without a colon."""
    password: SecretStr | None = None
    """The password; better given as `password_file` or as `${NAME}`."""
    password_file: Path | None = None
    """File that holds the password; read again at each request."""


class Authorization(StrictModel):
    """The header `Authorization`: a type and the credentials behind it."""

    type: str = Field(default="Bearer", pattern=f"^{_TOKEN.pattern}$")
    """What stands before the credentials."""
    credentials: SecretStr | None = None
    """The token; better given as `credentials_file` or as `${NAME}`."""
    credentials_file: Path | None = None
    """File that holds the token; read again at each request."""

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
    """What every connection over HTTP can be told."""

    tls_config: TlsConfig = TlsConfig()
    """Certificates: `ca_file`, `cert_file`, `key_file`, `server_name`, `insecure_skip_verify`."""
    proxy_url: Url | None = None
    """Proxy to go through, `http://` or `https://`, with `user:password@` where it asks for it. The variables
    `HTTP_PROXY` and the like of the environment are not used."""
    timeout: Duration = timedelta(seconds=10)
    """How long to wait to connect, and for each part of the answer."""

    @field_validator("timeout")
    @classmethod
    def _positive(cls, timeout: timedelta) -> timedelta:
        if timeout <= timedelta(0):
            raise ValueError("the timeout must be positive, like 10s")
        return timeout


class ServerOptions(HttpOptions):
    """The same with credentials and headers, for servers that may stand behind anything."""

    basic_auth: BasicAuth | None = None
    """User name and password: `username`, and `password` or `password_file`."""
    authorization: Authorization | None = None
    """A token: `type` (`Bearer` when left out), and `credentials` or `credentials_file`."""
    http_headers: HttpHeaders = Field(default_factory=dict)
    """Headers added to each request, such as `X-Scope-OrgID`; the values are masked."""

    @model_validator(mode="after")
    def _credentials_once(self) -> Self:
        named = any(name.lower() == "authorization" for name in self.http_headers)
        if (self.basic_auth is not None) + (self.authorization is not None) + named > 1:
            raise ValueError("give one of `basic_auth`, `authorization` and the header Authorization, not several")
        return self
