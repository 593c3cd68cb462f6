"""The address of a server: where it is, which credentials stand in it, and what of it may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import httpx
from pydantic import AfterValidator, SecretStr

__all__ = ["Address", "ServerUrl", "Url", "origin", "parse_url", "safe_url"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A base address without credentials, and the credentials that stood in it.

    >>> Address.parse("https://robot:secret@metrics.example/prometheus/").join("/api/v1/query").path
    '/prometheus/api/v1/query'
    """

    url: httpx.URL
    username: str = ""
    password: str = ""

    @classmethod
    def parse(cls, text: str | SecretStr) -> Address:
        """Read an address. Raises ``ValueError``, which never shows the address, when it is not one of http(s)."""
        text = (text.get_secret_value() if isinstance(text, SecretStr) else text).strip()
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            url = httpx.URL()
        if url.scheme not in _PORTS or not url.host or not 0 < (url.port or 80) < 65536 or re.search(r"\s", text):
            raise ValueError("this is not an address of a server; write it like https://host:9090")
        if url.fragment:
            raise ValueError("an address of a server has no part after `#`; remove it")
        return cls(url.copy_with(username=None, password=None), url.username, url.password)

    @classmethod
    def of(cls, url: httpx.URL) -> Address:
        """A whole address, such as one that a service gave; its fragment is left out."""
        return cls(url.copy_with(username=None, password=None, fragment=None), url.username, url.password)

    def __repr__(self) -> str:
        return f"Address({safe_url(self.url)!r})"

    @property
    def has_credentials(self) -> bool:
        """True where ``user:password@`` stood in it."""
        return bool(self.username or self.password)

    def join(self, path: str) -> httpx.URL:
        """``path`` (with ``?`` and ``#`` taken literally) below the address; parameters of the address stay."""
        below = self.url.path.rstrip("/") + "/" + quote(path.lstrip("/"), safe="/%:@!$&'()*+,;=~") if path else ""
        return self.url.copy_with(path=below) if path else self.url

    def secrets(self) -> tuple[str, ...]:
        """The parts that must never be shown."""
        return tuple(
            secret for secret in (self.password, *(value for _, value in self.url.params.multi_items())) if secret
        )


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port: who is spoken to, and how."""
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme, 0)


def parse_url(text: str) -> httpx.URL | None:
    """A whole address; None where ``text`` is none of ``http://`` or ``https://`` with a host."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        return None
    return url if url.scheme in _PORTS and url.host else None


def safe_url(url: httpx.URL) -> str:
    """Scheme, host and port as a text: the parts of an address that are no secret."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port else "")


def _address(value: SecretStr) -> SecretStr:
    Address.parse(value)
    return value


def _whole_address(value: SecretStr) -> SecretStr:
    if parse_url(value.get_secret_value()) is None:
        raise ValueError("this is not an address; write it like https://host/path")
    return value


ServerUrl = Annotated[SecretStr, AfterValidator(_address)]
"""A pydantic field type: the base address of a server, checked when the configuration is read, masked when shown."""

Url = Annotated[SecretStr, AfterValidator(_whole_address)]
"""A pydantic field type: a whole address, whose path and parameters may be secrets; checked and masked as well."""
