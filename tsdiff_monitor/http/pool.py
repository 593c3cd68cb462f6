"""The connections that are kept open: one set for the server, one that knows no secrets for hosts it redirects to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import httpx

from tsdiff_monitor.http.address import Address
from tsdiff_monitor.http.options import ConnectionOptions
from tsdiff_monitor.http.tls import Material, make_context, read_material
from tsdiff_monitor.http.transport import Deadline, DeadlineTransport

__all__ = ["ClientPool"]

_Key = tuple[bool, bool]
"""For the server itself or another host; over TLS or not."""


@dataclass(eq=False)
class _Entry:
    client: httpx.Client
    material: Material
    users: int = 0
    retired: bool = False


class ClientPool:
    """httpx clients, replaced when a file of ``tls_config`` changes; what is under way ends on the old one."""

    def __init__(self, options: ConnectionOptions, transport: httpx.BaseTransport | None, deadline: Deadline) -> None:
        """``transport`` replaces the network where it is given."""
        self._options = options
        self._transport = transport
        self._deadline = deadline
        self._lock = Lock()
        self._entries: dict[_Key, _Entry] = {}

    @contextmanager
    def borrow(self, url: httpx.URL, *, own: bool) -> Iterator[httpx.Client]:
        """A client for ``url``: of the server itself (``own``), or, without our certificate and server name, another.

        Raises :class:`~tsdiff_monitor.errors.ConfigError` when the files cannot be used.
        """
        material = read_material(self._options.tls_config)
        key = (own, url.scheme == "https")
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.material != material:
                self._retire(key)
                entry = self._entries[key] = _Entry(self._make(*key), material)
            entry.users += 1
        try:
            yield entry.client
        finally:
            with self._lock:
                entry.users -= 1
                if entry.retired and not entry.users:
                    entry.client.close()

    def close(self) -> None:
        """Close idle clients; the rest close when their exchange ends. Safe to call twice."""
        with self._lock:
            for key in tuple(self._entries):
                self._retire(key)

    def _retire(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.retired = True
            if not entry.users:
                entry.client.close()

    def _make(self, own: bool, secure: bool) -> httpx.Client:
        options, transport = self._options, self._transport
        if transport is None:
            # Reading the authorities takes a while: a plain connection gets an empty one, which trusts no authority.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if secure:
                context = make_context(options.tls_config, with_certificate=own)
            name = options.tls_config.server_name if own else None
            transport = DeadlineTransport(self._deadline, verify=context, proxy=self._proxy(), server_name=name)
        return httpx.Client(transport=transport, follow_redirects=False, trust_env=False)

    def _proxy(self) -> httpx.Proxy | None:
        if self._options.proxy_url is None:
            return None
        proxy = Address.parse(self._options.proxy_url)
        context = (
            make_context(self._options.tls_config, with_certificate=False) if proxy.url.scheme == "https" else None
        )
        auth = (proxy.username, proxy.password) if proxy.has_credentials else None
        return httpx.Proxy(proxy.url, ssl_context=context, auth=auth)
