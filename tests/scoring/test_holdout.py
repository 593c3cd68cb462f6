from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.scoring.holdout import split_history


@given(st.integers(8, 64), st.integers(0, 4000))
def test_no_training_window_touches_held_out_rows(window: int, extra: int) -> None:
    """Calibration sees rows the network has never seen; only a short history is used for both."""
    T = window + extra
    split = split_history(np.zeros((T, 2), np.float32), window)
    assert split.training_starts.min() >= 0
    assert split.training_starts.max() + window <= T
    if len(split.held_out) == 1:
        assert split.held_out == ((0, T),)
        assert 20 * (window + 1) > T
        return
    held = np.zeros(T, dtype=bool)
    for first, end in split.held_out:
        held[first:end] = True
    assert held[-1]
    assert 0.15 < held.mean() <= 0.2
    assert not any(held[start : start + window].any() for start in split.training_starts)


def test_windows_without_values_do_not_train() -> None:
    """An hour without data is no training window."""
    scaled = np.zeros((100, 1), np.float32)
    scaled[30:70] = np.nan
    starts = set(split_history(scaled, 16).training_starts.tolist())
    assert not starts & set(range(30, 55))
    assert {0, 29, 55, 84} <= starts


def test_values_in_held_out_blocks_alone_still_train() -> None:
    """If all values lie where the held-out blocks are, they train too: better than no model."""
    scaled = np.full((2000, 1), np.nan, np.float32)
    scaled[1960:] = 0.0
    assert len(split_history(scaled, 16).training_starts) > 0
