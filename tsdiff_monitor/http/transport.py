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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

__all__ = ["Deadline", "DeadlineTransport"]

_CONNECTIONS, _KEPT, _KEPT_SECONDS = 100, 20, 30.0
_PIECE = 1 << 16  # bytes given to the system at once, so that the deadline is looked at in between


class Deadline(threading.local):
    """The time by which the calling thread's exchange must be over, in seconds of ``monotonic``."""

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
        """True once it has passed."""
        return self._monotonic() >= self.at


class DeadlineTransport(httpx.BaseTransport):
    """A transport over httpcore's pool of connections, whose sockets keep the deadline."""

    def __init__(
        self,
        deadline: Deadline,
        *,
        verify: ssl.SSLContext,
        proxy: httpx.Proxy | None = None,
        server_name: str | None = None,
        resolve: Callable[..., Sequence[Any]] = socket.getaddrinfo,
    ) -> None:
        """``server_name``: the name in the servers' certificate; ``resolve`` finds a host's addresses."""
        proxied_by_tls = proxy is not None and proxy.url.scheme == "https"
        backend = _Backend(deadline, server_name, 1 if proxied_by_tls else 0, resolve)
        shared: dict[str, Any] = {
            "ssl_context": verify,
            "max_connections": _CONNECTIONS,
            "max_keepalive_connections": _KEPT,
            "keepalive_expiry": _KEPT_SECONDS,
            "network_backend": backend,
        }
        if proxy is None:
            self._connections = httpcore.ConnectionPool(**shared)
        else:
            self._connections = httpcore.HTTPProxy(
                proxy_url=str(proxy.url),
                proxy_auth=proxy.raw_auth,
                proxy_headers=proxy.headers.raw,
                proxy_ssl_context=proxy.ssl_context,
                **shared,
            )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is still to be read."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore.Request(
            method=request.method,
            url=url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._connections.handle_request(sent)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._pieces

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors as httpx's, which have the same names."""
    try:
        yield
    except Exception as error:
        for kind in type(error).__mro__:
            if kind.__module__.partition(".")[0] != "httpcore":
                break
            same = getattr(httpx, kind.__name__, None)
            if same is not None:
                raise same(str(error)) from error
        raise


class _Backend(httpcore.NetworkBackend):
    def __init__(
        self, deadline: Deadline, server_name: str | None, layer: int, resolve: Callable[..., Sequence[Any]]
    ) -> None:
        """``layer``: which TLS of a connection is the server's, 0 or, through a proxy with TLS of its own, 1."""
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline
        self._name = server_name
        self._layer = layer
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
                return _Stream(stream, self._deadline, self._name, self._layer)
        raise failure


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline, server_name: str | None, layer: int) -> None:
        self._inner = inner
        self._deadline = deadline
        self._name = server_name
        self._layer = layer

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
        name = self._name if self._name is not None and self._layer == 0 else server_hostname
        inner = self._inner.start_tls(ssl_context, name, self._deadline.left(timeout))
        return _Stream(inner, self._deadline, self._name, self._layer - 1)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
