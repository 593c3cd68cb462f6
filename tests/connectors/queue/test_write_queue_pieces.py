"""Pieces that a queue cuts rows into are small, in order, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_connectors.queue.pieces import cut, joined, packed, unpacked
from tsdiff_connectors.queue.series import ScoreRows

HALF_HOUR = 1_800_000


def rows(times: list[int], wide: int = 1) -> ScoreRows:
    """Rows of which every third value is missing."""
    values = np.arange(wide * len(times), dtype=float).reshape(wide, -1)
    return ScoreRows("web", b"layout", np.array(times, np.int64), np.where(values % 3 == 1, np.nan, values))


@settings(deadline=None)
@given(st.sets(st.integers(0, 5 * HALF_HOUR), min_size=1, max_size=12), st.sampled_from([1, 3, 20_000, 60_000]))
def test_pieces_are_small_and_nothing_is_lost(times: set[int], wide: int) -> None:
    """None crosses a half hour or holds much more than 50,000 cells; as bytes and back, together they are the rows."""
    whole = rows(sorted(times), wide)
    pieces = list(cut(whole))
    for piece in pieces:
        assert len({at // HALF_HOUR for at in piece.times_ms.tolist()}) == 1
        assert len(piece) == 1 or piece.values.size <= 50_000
    read = joined([unpacked(piece.source, piece.layout, len(piece), packed(piece)) for piece in pieces])
    assert (read.source, read.layout) == (whole.source, whole.layout)
    np.testing.assert_array_equal(read.times_ms, whole.times_ms)
    np.testing.assert_array_equal(read.values, whole.values)
    assert sum(piece.samples for piece in pieces) == whole.samples


@pytest.mark.parametrize(("wide", "lengths"), [(1, [30, 10]), (5_000, [10, 10, 10, 10]), (60_000, [1] * 40)])
def test_pieces_are_no_smaller_than_they_must_be(wide: int, lengths: list[int]) -> None:
    """Forty minutes of few series are two pieces, of many as many as the cells ask for."""
    assert [len(piece) for piece in cut(rows([60_000 * minute for minute in range(40)], wide))] == lengths
