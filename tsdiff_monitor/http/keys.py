"""Credentials, certificates and headers as users write them, named as Prometheus names them.

Keys: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config
The options of readers, writers and notifiers are made of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Authorization", "BasicAuth", "TlsConfig", "check_headers", "fits_header"]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = {"connection", "content-encoding", "content-length", "content-type", "host", "keep-alive"}
_RESERVED |= {"proxy-authorization", "transfer-encoding"}


class BasicAuth(StrictModel):
    """A user name and its password."""

    username: str = Field(min_length=1, json_schema_extra={"pattern": "^[^:]*$"})
    """The user's name, without a colon."""
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

    type: str = Field(default="Bearer", json_schema_extra={"pattern": f"^{_TOKEN.pattern}$"})
    """The word before the credentials, such as `Bearer` or (InfluxDB) `Token`."""
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
    """Do not verify the server's certificate. Anyone in between can then read and change everything, credentials
    included."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together; give both")
        if self.insecure_skip_verify and self.ca_file is not None:
            raise ValueError("`ca_file` has no effect with `insecure_skip_verify`; keep one of the two")
        return self


def check_headers(headers: dict[str, SecretStr], *, who: str, own: Collection[str] = ()) -> dict[str, SecretStr]:
    """``headers`` as they are. Raises ``ValueError``, without their values, where one cannot be sent.

    Those of ``own`` (in lower case), and those of the protocol itself, are for ``who`` (such as ``connector``) to set.
    """
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if name.lower() in {*_RESERVED, *own}:
            raise ValueError(f"the header {name} is set by the {who} itself; remove it")
        if not fits_header(value.get_secret_value()):
            raise ValueError(f"the value of the header {name} may hold printable ASCII only")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header is given twice; upper and lower case are the same")
    return headers


def fits_header(value: str) -> bool:
    """True where a header can carry ``value``: one line of printable ASCII, or nothing."""
    return re.fullmatch(r"[\x20-\x7e]*", value) is not None
