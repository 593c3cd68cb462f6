"""How a service is spoken to over HTTP: TLS, proxy, headers, credentials, time-out; named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
A notifier's ``Config`` derives from :class:`HttpOptions`, or, for servers of the user's own, from
:class:`ServerOptions`, so that the keys stand at its top level.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Self

import httpx
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.http import options
from tsdiff_monitor.http.options import Authorization, BasicAuth, TlsConfig
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Authorization", "BasicAuth", "HttpHeaders", "HttpOptions", "ServerOptions", "TlsConfig", "Url"]


def parsed(url: str) -> httpx.URL | None:
    """The address, or None where it is none of ``http://`` or ``https://`` with a host."""
    try:
        found = httpx.URL(url.strip())
    except httpx.InvalidURL:
        return None
    return found if found.scheme in ("http", "https") and found.host else None


def check_headers(headers: dict[str, SecretStr], own: Collection[str] = ()) -> dict[str, SecretStr]:
    """``headers`` as they are. Raises ``ValueError`` where one cannot be sent, or is in ``own`` (in lower case)."""
    return options.check_headers(headers, who="notifier", own=own)


def _an_address(url: SecretStr) -> SecretStr:
    if parsed(url.get_secret_value()) is None:
        raise ValueError("this is not an address; write it like https://host/path")
    return url


Url = Annotated[SecretStr, AfterValidator(_an_address)]
"""A pydantic field type: an address, checked when the configuration is read, masked when it is shown."""

HttpHeaders = Annotated[dict[str, SecretStr], AfterValidator(check_headers)]
"""A pydantic field type: headers that can be sent, with masked values."""


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
