"""The severity of an event, from its peak, its length and its breadth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import Event, Severity
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.severity import is_broad, severity_of
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores


def opened(attribution: list[float], peak: float) -> Event:
    """The event that two rows with these shares open."""
    times = pd.date_range("2026-03-01T00:00:00Z", periods=2, freq="min")
    series = tuple(Series(f"m{k}") for k in range(len(attribution)))
    scores = Scores(times, series, np.array([peak, peak]), np.array([attribution, attribution]))
    (change,) = EventTracker(EventPolicy(), "hosts", (), TrackerState()).advance(scores, lambda _time, _names: {})
    return change.event


@pytest.mark.parametrize(
    ("peak", "rows", "severity"),
    [
        (1.1, 15, "info"),
        (1.1, 16, "warning"),
        (1.5, 1, "warning"),
        (1.9, 999, "warning"),
        (2.0, 30, "warning"),
        (2.0, 31, "critical"),
        (3.99, 1, "warning"),
        (4.0, 1, "critical"),
    ],
)
def test_severity_rule(peak: float, rows: int, severity: str) -> None:
    """The documented thresholds, each from both sides."""
    assert severity_of(peak, rows) == severity


@pytest.mark.parametrize(
    ("attribution", "broad"),
    [
        ([0.25] * 4, True),
        ([0.4, 0.3, 0.3], False),  # three metrics are too few to be many
        ([0.125] * 8, True),
        ([0.25] * 4 + [0.0] * 4, True),
        ([0.25] * 4 + [0.0] * 5, False),
        ([0.9] + [0.1 / 7] * 7, False),  # all take part, one is to blame
        ([0.0] * 8, False),
    ],
)
def test_breadth(attribution: list[float], broad: bool) -> None:
    """Half of the metrics, and four, must be to blame."""
    assert is_broad(np.array(attribution, dtype=np.float32)) == broad


@pytest.mark.parametrize(("peak", "severity"), [(1.4, "info"), (1.99, "warning"), (2.0, "critical")])
def test_breadth_makes_a_clear_event_critical(peak: float, severity: str) -> None:
    """At once, like length does; one that barely crosses the threshold stays what it is."""
    assert severity_of(peak, 1, broad=True) == severity
    assert opened([0.125] * 8, peak).severity == severity
    assert opened([0.93] + [0.01] * 7, peak).severity is (Severity.info if peak < 1.5 else Severity.warning)


def test_severity_never_falls_when_anything_grows() -> None:
    """In peak, length and breadth."""
    steps = [(peak, rows, broad) for peak in (1.1, 1.5, 2, 4) for rows in (1, 16, 31) for broad in (False, True)]
    for one in steps:
        for other in steps:
            if all(small <= large for small, large in zip(one, other, strict=True)):
                small, large = (severity_of(peak, rows, broad=broad) for peak, rows, broad in (one, other))
                assert small.rank <= large.rank
