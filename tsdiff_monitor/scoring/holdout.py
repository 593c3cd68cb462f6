"""Split of the history: rows that train the network, and rows held out to learn normal scores from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["HistorySplit", "holds_out", "split_history"]

_BLOCKS = 4
_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class HistorySplit:
    """``training_starts[N]``: first rows of training windows; ``held_out``: (first, end) of each held-out block."""

    training_starts: np.ndarray
    held_out: tuple[tuple[int, int], ...]


def holds_out(rows: int, window: int) -> bool:
    """True where a history is long enough to hold a part of it out."""
    return _block_rows(rows) >= window


def _block_rows(rows: int) -> int:
    return int(rows * _SHARE / _BLOCKS)


def split_history(scaled: np.ndarray, window: int) -> HistorySplit:
    """Hold out a fifth of the rows in four blocks spread over the history, the last at its end.

    Spread out, they cover the hours of the day and the days of the week; the last one shows the drift up to now. No
    training window touches them, unless there are no values elsewhere. A history too short for that is used for both,
    which the calibration's few blocks make up for.
    """
    T = len(scaled)
    length = _block_rows(T)
    starts = np.arange(T - window + 1)
    if holds_out(T, window):
        ends = [round(T * (i + 1) / _BLOCKS) for i in range(_BLOCKS)]
        blocks = tuple((end - length, end) for end in ends)
        touches = np.zeros(len(starts), dtype=bool)
        for a, b in blocks:
            touches |= (starts + window > a) & (starts < b)
    else:
        blocks = ((0, T),)
        touches = np.zeros(len(starts), dtype=bool)
    # Windows without a single value have nothing to teach.
    seen = np.concatenate([[0], np.cumsum((~np.isnan(scaled)).any(1))])
    full = seen[starts + window] > seen[starts]
    apart = full & ~touches
    return HistorySplit(starts[apart if apart.any() else full], blocks)
