"""Encodes the ``WriteRequest`` of Prometheus remote write 1.0, a request at a time instead of a sample at a time.

Messages: https://github.com/prometheus/prometheus/blob/main/prompb/types.proto; wire format:
https://protobuf.dev/programming-guides/encoding/. Samples all look alike (a double and a time, both present), so numpy
lays out a whole request's at once; the tests read what comes out with the ``protobuf`` library.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tsdiff_connectors.queue.samples import Labels, Samples

__all__ = ["write_request"]

# Tags: field number << 3 | wire type (0: varint, 1: 64 bits, 2: length and bytes).
_SERIES, _LABEL, _NAME, _VALUE, _SAMPLE = b"\x0a", b"\x0a", b"\x0a", b"\x12", 0x12
_SAMPLE_VALUE, _SAMPLE_TIME = 0x09, 0x10

_SHORT, _LONG = 6, 10
"""Bytes of a time: six hold the years 1970 to 2109, ten any (padded with zeros, which the wire format allows)."""


def write_request(samples: Samples) -> bytes:
    """The request's bytes, not compressed; series and samples in the order given."""
    width = _SHORT if len(samples) == 0 or _fits(samples.times_ms) else _LONG
    size = 12 + width
    layout = [("tag", "u1"), ("size", "u1"), ("value_tag", "u1"), ("value", "<f8"), ("time_tag", "u1")]
    rows = np.empty(len(samples), np.dtype([*layout, ("time", "u1", (width,))]))
    rows["tag"], rows["size"] = _SAMPLE, size - 2
    rows["value_tag"], rows["value"] = _SAMPLE_VALUE, samples.values
    rows["time_tag"], rows["time"] = _SAMPLE_TIME, _varints(samples.times_ms, width)
    encoded = memoryview(rows.tobytes())
    parts: list[bytes | memoryview] = []
    first = 0
    for series, end in zip(samples.labels, samples.ends.tolist(), strict=True):
        labels = _labels(series)
        parts += (_SERIES, _varint(len(labels) + (end - first) * size), labels, encoded[first * size : end * size])
        first = end
    return b"".join(parts)


def _fits(times_ms: np.ndarray) -> bool:
    return bool(times_ms.min() >= 0 and times_ms.max() < 1 << (7 * _SHORT))


def _varints(numbers: np.ndarray, width: int) -> np.ndarray:
    """``[N, width]`` bytes: seven bits each, the lowest first, and a mark on all but the last."""
    shifts = 7 * np.arange(width, dtype=np.uint64)
    groups = (numbers.astype(np.int64).view(np.uint64)[:, None] >> shifts) & np.uint64(0x7F)
    groups[:, :-1] |= np.uint64(0x80)
    return groups.astype(np.uint8)


def _varint(number: int) -> bytes:
    return _SMALL[number] if number < len(_SMALL) else _long_varint(number)


def _long_varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SMALL = tuple(_long_varint(number) for number in range(1024))
"""Of the size of every text and of most series."""


@lru_cache(maxsize=1 << 17)
def _labels(series: Labels) -> bytes:
    parts = []
    for name, value in series:
        pair = _NAME + _text(name) + _VALUE + _text(value)
        parts.append(_LABEL + _varint(len(pair)) + pair)
    return b"".join(parts)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded
