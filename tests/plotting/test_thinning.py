"""Thinning: fewer points, the same peaks and the same gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.plotting.thinning import thin, thin_extremes


@given(st.integers(1, 400), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_extremes_survive(rows: int, bins: int, seed: int) -> None:
    """Highest and lowest values are kept for any length, and the points are no more than promised and in order."""
    values = np.random.default_rng(seed).normal(size=rows)
    times, kept = thin_extremes(np.arange(rows, dtype=float), values, bins)
    assert len(times) == len(kept) <= 2 * bins
    assert np.nanmax(kept) == values.max() and np.nanmin(kept) == values.min()
    assert (np.diff(times) > 0).all()


def test_short_series_are_left_alone() -> None:
    """What fits is drawn as it is."""
    times, values = np.arange(5.0), np.array([1.0, np.nan, 3.0, 2.0, 0.0])
    for kept in (thin(times, values, 5, np.fmax), thin_extremes(times, values, 3)):
        np.testing.assert_array_equal(kept, (times, values))


def test_gaps_survive() -> None:
    """A bin without any value stays a gap; one with some keeps the one asked for."""
    values = np.array([1.0, 2.0, np.nan, np.nan, np.nan, 7.0])
    times, kept = thin(np.arange(6.0), values, 3, np.fmax)
    np.testing.assert_array_equal(times, [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(kept, [2.0, np.nan, 7.0])
