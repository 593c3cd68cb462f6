"""The connections that are kept open: one set for the server, one that knows no secrets for hosts it redirects to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import httpx

from tsdiff_connectors.http_address import Address
from tsdiff_connectors.http_options import HttpOptions
from tsdiff_connectors.http_transport import Deadline, DeadlineTransport
from tsdiff_monitor.http.tls import Material, make_context, read_material
from tsdiff_monitor.plugins import Context

__all__ = ["ClientPool"]


@dataclass(eq=False)
class _Entry:
    client: httpx.Client
    material: Material
    users: int = 0
    retired: bool = False


class ClientPool:
    """httpx clients, replaced when a file of ``tls_config`` changes; what is under way ends on the old one."""

    def __init__(self, address: Address, options: HttpOptions, context: Context, deadline: Deadline) -> None:
        self._address = address
        self._options = options
        self._context = context
        self._deadline = deadline
        self._lock = Lock()
        self._entries: dict[bool, _Entry] = {}

    @contextmanager
    def borrow(self, *, own: bool) -> Iterator[httpx.Client]:
        """A client for the server itself (``own``), or for another host: without our certificate and server name.

        Raises :class:`~tsdiff_monitor.errors.ConfigError` when the files cannot be used.
        """
        material = read_material(self._options.tls_config)
        with self._lock:
            entry = self._entries.get(own)
            if entry is None or entry.material != material:
                self._retire(own)
                entry = self._entries[own] = _Entry(self._make(own), material)
            entry.users += 1
        try:
            yield entry.client
        finally:
            with self._lock:
                entry.users -= 1
                if entry.retired and not entry.users:
                    entry.client.close()

    def close(self) -> None:
        """Close what nobody uses; the rest closes when its exchange ends. Safe to call twice."""
        with self._lock:
            for own in tuple(self._entries):
                self._retire(own)

    def _retire(self, own: bool) -> None:
        entry = self._entries.pop(own, None)
        if entry is not None:
            entry.retired = True
            if not entry.users:
                entry.client.close()

    def _make(self, own: bool) -> httpx.Client:
        options, transport = self._options, self._context.transport
        if transport is None:
            secure = self._address.url.scheme == "https" or options.follow_redirects
            # Reading the authorities takes a while: a plain connection gets an empty context, which trusts nobody.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if secure:
                context = make_context(options.tls_config, with_certificate=own)
            name = options.tls_config.server_name
            names = {self._address.url.host: name} if own and name is not None else {}
            transport = DeadlineTransport(self._deadline, verify=context, proxy=self._proxy(), names=names)
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
