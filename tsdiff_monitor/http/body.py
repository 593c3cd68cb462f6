"""The body of an answer: decompressed piece by piece, so that no answer can fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import httpx

from tsdiff_monitor.http.exchange import Exchange
from tsdiff_monitor.http.transport import Deadline

__all__ = ["GarbledBodyError", "TooLargeError", "decoded", "read_body"]

_PIECE = 1 << 20


def read_body(exchange: Exchange, answer: httpx.Response, deadline: Deadline, limit: int) -> Iterator[bytes]:
    """The body's pieces, decompressed, under the exchange's deadline and at most ``limit`` bytes.

    Raises :class:`~tsdiff_monitor.http.failure.HttpFailure`.
    """
    length = answer.headers.get("Content-Length", "")
    try:
        if length.isdecimal() and int(length) > limit and exchange.method != "HEAD":
            raise TooLargeError
        yield from decoded(_raw(exchange, answer, deadline), answer.headers.get("Content-Encoding"), limit)
    except TooLargeError:
        said = f"the answer is larger than {limit:,} bytes; ask for less at once, or raise `max_response_bytes`"
        raise exchange.failure(said, reason="too_large") from None
    except GarbledBodyError as error:
        raise exchange.failure(f"the answer cannot be read: {error}", reason="garbled") from error


def _raw(exchange: Exchange, answer: httpx.Response, deadline: Deadline) -> Iterator[bytes]:
    """The body as it comes from the network."""
    assert isinstance(answer.stream, httpx.SyncByteStream)
    chunks = iter(answer.stream)
    while True:
        deadline.at = exchange.deadline  # the thread may have been busy with another exchange meanwhile
        with exchange.failures():
            chunk = next(chunks, None)
        if chunk is None:
            return
        if exchange.left <= 0:
            raise exchange.too_late()
        yield chunk


class TooLargeError(Exception):
    """The body is longer than allowed."""


class GarbledBodyError(Exception):
    """The body is not what its headers say."""


def decoded(chunks: Iterable[bytes], encoding: str | None, limit: int) -> Iterator[bytes]:
    """The body's pieces after decompression, each of at most 1 MiB where it was compressed.

    Raises :class:`TooLargeError` as soon as more than ``limit`` bytes have come, and :class:`GarbledBodyError` when
    the compression is damaged, ends too early, or was not asked for.
    """
    encoding = (encoding or "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        chunks = _gunzipped(chunks)
    elif encoding != "identity":
        raise GarbledBodyError(f"it is compressed as {encoding[:30]!r}, which was not asked for")
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise TooLargeError
        if chunk:
            yield chunk


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Inflates a few bytes at a time: a thousandfold compression is never held in memory whole."""
    inflate = None
    try:
        for chunk in chunks:
            left = chunk
            while left:
                inflate = inflate or zlib.decompressobj(wbits=31)
                piece = inflate.decompress(left, _PIECE)
                yield piece
                while len(piece) == _PIECE:
                    piece = inflate.decompress(inflate.unconsumed_tail, _PIECE)
                    yield piece
                # A file may hold several compressed parts, one after the other.
                left, inflate = (inflate.unused_data, None) if inflate.eof else (b"", inflate)
    except zlib.error as error:
        raise GarbledBodyError("its compression is damaged") from error
    if inflate is not None:
        raise GarbledBodyError("it ends in the middle of its compression")
