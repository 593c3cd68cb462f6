"""The event that docs/notifiers.md shows in every notifier: payments get slow at night."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsdiff_monitor.events.details import Course, Details, Snapshot
from tsdiff_monitor.events.event import Change, Culprit, EventChange
from tsdiff_monitor.testing import example_change

__all__ = ["payments_change"]

_STEP = pd.Timedelta("1min")
_NEWEST = pd.Timestamp("2026-11-22T03:19:00Z")
_ROWS, _LEFT = 75, 62  # the first row is 02:05, the first abnormal one 03:07
_CULPRITS = (
    Culprit("request_duration_p99", 0.58, 0.447, 0.226, 0.191, 0.262, "s"),
    Culprit("db_connections", 0.24, 112.0, 67.0, 58.0, 76.0),
    Culprit("requests", 0.11, 1050.0, 1880.0, 1640.0, 2120.0, "req/s"),
    Culprit("cpu", 0.05, 71.0, 58.0, 49.0, 67.0, "%"),
    Culprit("memory", 0.02, 6.3e9, 6.1e9, 5.9e9, 6.25e9, "B"),
)
_LINKS = {
    "dashboard": "https://grafana.example/d/checkout?from=1795312800000&to=1795317540000",
    "runbook": "https://wiki.example/runbooks/checkout",
}


def payments_change(change: Change = Change.opened) -> EventChange:
    """The event at 03:19, twelve minutes after it began, or (``resolved``) once it was over at 03:53."""
    times = {"start": "03:07", "confirmed": "03:09", "last": "03:19", "peak_time": "03:19"}
    if change is Change.resolved:
        times |= {"last": "03:58", "end": "03:53"}
    return example_change(
        change,
        3 if change is Change.resolved else 0,
        details=Details(_snapshot(), _LINKS, allowed_per_week=1.0, seen_per_week=0.7),
        monitor="checkout",
        group=(("cluster", "eu-1"), ("service", "payments")),
        peak=8.4,
        culprits=_CULPRITS,
        **{name: pd.Timestamp(f"2026-11-22T{time}:00Z") for name, time in times.items()},
    )


def _snapshot() -> Snapshot:
    """The three main culprits leave their bands within a few minutes and reach what the event says of them."""
    noise = np.random.default_rng(3)
    rows = np.arange(_ROWS)
    departed = 1 - np.exp(-np.maximum(rows - _LEFT + 1, 0) / 3)
    courses = []
    for culprit in _CULPRITS[:3]:
        actual, expected = culprit.actual or 0.0, culprit.expected or 0.0
        width = ((culprit.expected_upper or 0.0) - (culprit.expected_lower or 0.0)) / 2
        wave = np.sin(rows / 14) - np.sin((_ROWS - 1) / 14)
        middle = expected + 0.5 * width * wave + noise.normal(0, width / 15, _ROWS)
        course = middle + noise.normal(0, width / 4, _ROWS) + (actual - expected) * departed
        parts = (course, middle, middle - width, middle + width)
        courses.append(Course(culprit.metric, *(tuple(np.round(part, 4).tolist()) for part in parts)))
    calm = 0.25 + 0.2 * np.abs(np.sin(rows * 1.7))
    score = np.where(rows >= _LEFT, np.linspace(1.25, 8.4, _ROWS - _LEFT)[np.maximum(rows - _LEFT, 0)], calm)
    return Snapshot(_NEWEST - _STEP * (_ROWS - 1), _STEP, tuple(score.round(3).tolist()), tuple(courses))
