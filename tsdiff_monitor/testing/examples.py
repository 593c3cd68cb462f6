"""Ready-made frames, events and batches of scores, the same at each call."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsdiff_monitor.events.details import Course, Details, Snapshot
from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange, Severity
from tsdiff_monitor.timeseries.frame import Frame, Group, Series
from tsdiff_monitor.timeseries.scores import Expected, ScoreBatch, Scores

__all__ = ["example_batch", "example_change", "example_details", "example_event", "example_frame"]

START = "2024-05-01T00:00:00Z"
GROUP: Group = (("instance", "web-1"),)


def example_frame(
    rows: int = 240,
    names: Sequence[str] = ("cpu", "memory", "requests"),
    *,
    start: str = START,
    step: str = "1min",
    missing: float = 0.0,
    group: Group = GROUP,
    seed: int = 0,
) -> Frame:
    """Correlated daily waves with noise, a column per name; a share ``missing`` of the cells is NaN."""
    random = np.random.default_rng(seed)
    hours = np.arange(rows) * pd.Timedelta(step).total_seconds() / 3600
    wave = np.sin(2 * np.pi * hours / 24)[:, None]
    scale = 1.0 + np.arange(len(names))
    values = scale * (10 + 3 * wave + random.normal(0, 0.3, (rows, len(names))))
    values[random.random(values.shape) < missing] = np.nan
    series = tuple(Series(name, dict(group), query=name) for name in names)
    return Frame(pd.Timestamp(start), pd.Timedelta(step), values.astype(np.float32), series)


def example_batch(
    rows: int = 10, *, group: Group = GROUP, monitor: str = "hosts", expected: bool = True, **frame: Any
) -> ScoreBatch:
    """Scores of an :func:`example_frame` (which takes the further arguments); the first row holds no value at all."""
    data = example_frame(rows, group=group, **frame)
    values = data.values.copy()
    values[:1] = np.nan
    data = Frame(data.start, data.step, values, data.series)
    score = np.linspace(0.1, 2.0, rows)
    share = np.tile(np.arange(1.0, len(data.series) + 1), (rows, 1))
    share /= share.sum(axis=1, keepdims=True)
    score[:1], share[:1] = np.nan, 0.0
    band = None
    if expected:
        yhat = example_frame(rows, group=group, **{**frame, "seed": 1}).values
        band = Expected(data.times, data.series, yhat, yhat - 1, yhat + 1)
    return ScoreBatch(monitor, "default", "minutely", group, data, Scores(data.times, data.series, score, share), band)


def example_event(**changes: Any) -> Event:
    """An open, critical event of the monitor ``hosts`` with four culprits; ``changes`` replace its fields."""
    event = Event(
        id="0123456789abcdef",
        monitor="hosts",
        group=GROUP,
        start=pd.Timestamp("2024-05-01T03:05:00Z"),
        confirmed=pd.Timestamp("2024-05-01T03:07:00Z"),
        last=pd.Timestamp("2024-05-01T03:12:00Z"),
        end=None,
        peak=4.21,
        peak_time=pd.Timestamp("2024-05-01T03:10:00Z"),
        severity=Severity.critical,
        culprits=(
            Culprit("cpu", 0.62, 93.1, 48.3, 41.2, 55.0),
            Culprit("requests", 0.21, 41200.0, 18000.0, 15500.0, 20100.0),
            Culprit("memory", 0.12, 0.0125, 0.011, 0.0102, 0.0119),
            Culprit("disk", 0.05, None, 12.0, 11.0, 13.0),
        ),
    )
    return dataclasses.replace(event, **changes)


def example_details() -> Details:
    """Forty minutes of two culprits, of which the first leaves its band at 03:05; two links; an alarm rate."""
    rows, left = 40, 32
    times = np.arange(rows)
    courses = []
    for name, middle, width in (("cpu", 48.3, 7.0), ("requests", 18000.0, 2300.0)):
        expected = middle + width * np.sin(times / 5) / 2
        actual = expected + np.where(times >= left, 6 * width, width / 4 * np.cos(times))
        bands = (expected, expected - width, expected + width)
        courses.append(Course(name, *(tuple(np.round(part, 4).tolist()) for part in (actual, *bands))))
    score = tuple(np.where(times >= left, 4.21, 0.4).tolist())
    snapshot = Snapshot(pd.Timestamp("2024-05-01T02:33:00Z"), pd.Timedelta("1min"), score, tuple(courses))
    links = {"dashboard": "https://grafana.example/d/hosts?from=1714531980000&to=1714533120000"}
    return Details(snapshot, links, allowed_per_week=1.0, seen_per_week=0.7)


def example_change(
    change: Change = Change.opened, sequence: int = 0, *, details: Details | None = None, **event: Any
) -> EventChange:
    """A change of an :func:`example_event`; a resolved one ended at 03:30."""
    if change is Change.resolved:
        event = {"end": pd.Timestamp("2024-05-01T03:30:00Z"), "last": pd.Timestamp("2024-05-01T03:34:00Z"), **event}
    return EventChange(change, example_event(**event), sequence, details or Details())
