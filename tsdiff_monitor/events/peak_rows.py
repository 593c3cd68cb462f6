"""The metrics in the row of an event's peak, asked for while that row's data is at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from tsdiff_monitor.events.onset import ALARM, is_high
from tsdiff_monitor.events.state import Row, TrackerState

__all__ = ["Explain", "explain_row", "possible_peaks"]

Explain = Callable[[pd.Timestamp, Sequence[str]], Mapping[str, tuple[float, float, float, float]]]
"""``(time, metric names)`` to ``{name: (actual, expected, lower, upper)}``; NaN or left out where unknown."""


def possible_peaks(state: TrackerState) -> list[Row]:
    """The rows whose explanation may be asked for later, when their data is no longer at hand."""
    peaks = [] if state.incident is None else [state.incident.peak]
    highest = ALARM
    for row in reversed(state.rise):
        if row.score is not None and is_high(row) and row.score >= highest:
            highest = row.score
            peaks.append(row)
    return peaks


def explain_row(row: Row, explain: Explain) -> None:
    """Fill in a row's explanation once. The metrics asked for depend on that row alone, hence not on the chunks."""
    if row.explained is None:
        metrics = explain(pd.Timestamp(row.time, tz="UTC"), row.names)
        row.explained = {name: _finite(metrics[name]) for name in row.names if name in metrics}


def _finite(
    values: tuple[float, float, float, float],
) -> tuple[float | None, float | None, float | None, float | None]:
    actual, expected, lower, upper = (float(value) if math.isfinite(value) else None for value in values)
    return actual, expected, lower, upper
