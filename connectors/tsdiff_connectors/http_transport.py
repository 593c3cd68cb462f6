"""A transport under httpx with a hard deadline: no wait for the network outlasts it, however the other side drips.

httpx's own time-outs hold for each single read: a server that sends one byte of its headers per second could keep
them waiting for ever. Here every wait on a socket is cut to what is left of the exchange. What stays outside is the
resolver's own time limit for a name (``resolv.conf``).
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpcore
import httpx

__all__ = ["Deadline", "DeadlineTransport"]

_PIECE = 1 << 16  # bytes given to the system at once, so that the deadline is looked at in between


class Deadline(threading.local):
    """When the exchange that the calling thread is busy with must be over, in seconds of ``monotonic``."""

    at: float = math.inf

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic

    def left(self, timeout: float | None = None) -> float | None:
        """The smaller of ``timeout`` and what is left, at least a millisecond; None for ever."""
        left = max(self.at - self._monotonic(), 0.001)
        timeout = left if timeout is None else min(timeout, left)
        return None if math.isinf(timeout) else timeout

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return self._monotonic() >= self.at


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's transport over sockets that keep the deadline."""

    def __init__(
        self,
        deadline: Deadline,
        *,
        verify: ssl.SSLContext,
        proxy: httpx.Proxy | None = None,
        names: Mapping[str, str] | None = None,
        resolve: Callable[..., Sequence[Any]] = socket.getaddrinfo,
    ) -> None:
        """``names``: host to the name in its certificate; ``resolve`` finds a host's addresses."""
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30)
        super().__init__(verify=verify, trust_env=False, proxy=proxy, limits=limits)
        # httpcore takes a backend as an argument, but httpx has none to pass it on with.
        self._pool._network_backend = _Backend(deadline, names or {}, resolve)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline, names: Mapping[str, str], resolve: Callable[..., Sequence[Any]]) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline
        self._names = names
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Tries the host's addresses in turn, each for at most ``timeout``, all of them within the deadline."""
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error}") from error
        failure: Exception = httpcore.ConnectError("the name has no address")
        for *_, address in found:
            if self._deadline.over:
                raise httpcore.ConnectTimeout("deadline") from failure
            wait = self._deadline.left(timeout)
            try:
                stream = self._inner.connect_tcp(str(address[0]), port, wait, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline, self._names)
        raise failure


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline, names: Mapping[str, str]) -> None:
        self._inner = inner
        self._deadline = deadline
        self._names = names

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._deadline.over:
            raise httpcore.ReadTimeout("deadline")
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for first in range(0, len(buffer), _PIECE):
            if self._deadline.over:
                raise httpcore.WriteTimeout("deadline")
            self._inner.write(buffer[first : first + _PIECE], self._deadline.left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if self._deadline.over:
            raise httpcore.ConnectTimeout("deadline")
        name = self._names.get(server_hostname or "", server_hostname)
        inner = self._inner.start_tls(ssl_context, name, self._deadline.left(timeout))
        return _Stream(inner, self._deadline, self._names)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
