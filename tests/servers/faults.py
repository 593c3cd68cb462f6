"""A proxy in front of a real server that misbehaves on request, switched while it runs.

Over plain HTTP each request is judged for itself: the proxy asks the server to close the connection after the answer.
It serves as a forward proxy as well: any host that is asked for, ``CONNECT`` included, leads to the one server.
In front of ``https://`` it passes bytes on and judges each connection; it cannot answer by itself there.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

__all__ = ["Fault", "FaultProxy"]

_PIECE = 65536


@dataclass(frozen=True)
class Fault:
    """The treatment of a request. Seconds and bytes; bytes count the answer, its head included."""

    latency: float = 0.0
    """Wait before the request is passed on."""
    reset: bool = False
    """Reset the connection instead of passing the request on."""
    cut_after: int | None = None
    """Close the connection after so many bytes."""
    reset_after: int | None = None
    """Reset the connection after so many bytes."""
    drip: float = 0.0
    """Wait so long after each byte (after ``drip_size`` bytes)."""
    drip_size: int = 1
    """Number of bytes that come at once while it drips."""
    raw: bytes | None = None
    """Answer with these bytes, and close."""
    silent: bool = False
    """Take the request and never answer."""
    status: int | None = None
    """Answer with this status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of that answer."""
    body: bytes = b""
    """Body of that answer."""

    @property
    def answer(self) -> bytes | None:
        """The bytes that the proxy answers by itself; None where the server is to answer."""
        if self.status is None:
            return self.raw
        headers = {"Content-Length": str(len(self.body)), "Connection": "close", **self.headers}
        lines = [f"HTTP/1.1 {self.status} Fault", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class FaultProxy:
    """Listens on 127.0.0.1 until :meth:`close`; ``url`` replaces the server's own."""

    def __init__(self, upstream: str) -> None:
        self._upstream = httpx.URL(upstream)
        self._plain = self._upstream.scheme == "http"
        self._faults: list[Fault | None] = []
        self._always: Fault | None = None
        self.requests: list[bytes] = []
        """The head of each request that came (of each connection, in front of ``https://``: empty)."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accepted, "127.0.0.1", 0), self._loop
        ).result(10)
        port = self._server.sockets[0].getsockname()[1]
        self.url = str(self._upstream.copy_with(host="127.0.0.1", port=port)).rstrip("/")

    def fault(self, *, times: int | None = None, **what: object) -> None:
        """Let the next ``times`` requests (all, when left out) suffer a :class:`Fault` with these fields."""
        fault = Fault(**what)  # type: ignore[arg-type]
        if times is None:
            self._faults, self._always = [], fault
        else:
            self._faults, self._always = [fault] * times, None

    def heal(self) -> None:
        """Pass everything on from now."""
        self._faults, self._always = [], None

    def close(self) -> None:
        """Close all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were closed say so to the loop

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the proxy is being closed
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader) if self._plain else b""
        self.requests.append(request.partition(b"\r\n\r\n")[0])
        fault = (self._faults.pop(0) if self._faults else self._always) or Fault()
        if fault.latency:
            await asyncio.sleep(fault.latency)
        if fault.silent:
            await reader.read()
        elif fault.reset:
            _reset(writer)
        elif fault.answer is not None:
            await _pass_on(_read_from(fault.answer), writer, fault)
        else:
            await self._relay(request, reader, writer, fault)

    async def _relay(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault
    ) -> None:
        there, back = await asyncio.open_connection(self._upstream.host, self._upstream.port)
        if request.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            request = b""
        back.write(request)
        forward = asyncio.create_task(_forward(reader, back))
        try:
            await _pass_on(there, writer, fault)
        finally:
            forward.cancel()
            back.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One request, asking for the connection to be closed after its answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
    body = await reader.readexactly(int(length[1])) if length else b""
    head = re.sub(rb"^connection:[^\r]*\r\n", b"", head, flags=re.IGNORECASE | re.MULTILINE)
    return head[:-2] + b"Connection: close\r\n\r\n" + body


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_PIECE):
            writer.write(chunk)
            await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
    """The answer, as far and as fast as the fault lets it."""
    end = fault.cut_after if fault.cut_after is not None else fault.reset_after
    sent = 0
    while chunk := await reader.read(fault.drip_size if fault.drip else _PIECE):
        chunk = chunk if end is None else chunk[: end - sent]
        writer.write(chunk)
        await writer.drain()
        sent += len(chunk)
        if sent == end:
            break
        if fault.drip:
            await asyncio.sleep(fault.drip)
    if fault.reset_after is not None:
        _reset(writer)


def _read_from(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: the other side sees a connection reset, not an end."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
