"""The pieces in which a queue keeps rows: where rows are cut, what a piece is as bytes, and pieces put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tsdiff_connectors.queue.series import ScoreRows

__all__ = ["cut", "joined", "packed", "unpacked"]

_CELLS = 50_000
"""A piece holds at most about as many cells, so that one request never has to be larger."""
_SPAN_MS = 1_800_000
"""... and rows of one half hour at most: the oldest pieces are sent first, and no row is to be much older than
another that was sent before (see ``WriteQueue.head``)."""


def cut(rows: ScoreRows) -> Iterator[ScoreRows]:
    """The rows in pieces, in the order of their times."""
    size = max(_CELLS // len(rows.values), 1)
    (ends,) = np.nonzero(np.diff(rows.times_ms // _SPAN_MS, append=-1))
    start = 0
    for end in (ends + 1).tolist():
        for first in range(start, end, size):
            yield rows.rows(slice(first, min(first + size, end)))
        start = end


def packed(piece: ScoreRows) -> bytes:
    """``times_ms`` as int64, then ``values`` as float64, little-endian."""
    return piece.times_ms.astype("<i8").tobytes() + piece.values.astype("<f8").tobytes()


def unpacked(source: str, layout: bytes, times: int, payload: bytes) -> ScoreRows:
    """The piece of so many ``times`` that :func:`packed` made into ``payload``."""
    values = np.frombuffer(payload, "<f8", offset=8 * times).reshape(-1, times)
    return ScoreRows(source, layout, np.frombuffer(payload, "<i8", times), values)


def joined(pieces: Sequence[ScoreRows]) -> ScoreRows:
    """Pieces of one source and layout as one, in the order given."""
    times = np.concatenate([piece.times_ms for piece in pieces])
    values = np.concatenate([piece.values for piece in pieces], axis=1)
    return ScoreRows(pieces[0].source, pieces[0].layout, times, values)
