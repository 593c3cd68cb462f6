"""Ticks in a row, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from tsdiff_monitor.pipeline.pipeline import Pipeline, TickResult
from tsdiff_monitor.testing import MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["STEP", "WEB_1", "WEB_2", "Frames", "MakePipeline", "ScoresOf", "facts", "replayed"]

STEP = pd.Timedelta("10min")
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]
ScoresOf = Callable[[MemoryWriter], dict[tuple[Group, pd.Timestamp], float]]


def replayed(pipeline: Pipeline, start: pd.Timestamp, end: pd.Timestamp, chunk: pd.Timedelta) -> list[TickResult]:
    """Tick after tick from ``start`` to ``end``, each with the rows of one ``chunk``."""
    results, now = [], start
    while now < end:
        now = min(now + chunk, end)
        results.append(pipeline.tick(now, since=start))
    return results


def facts(pipeline: Pipeline) -> list[Any]:
    """The events as every consumer sees them; scores are compared by themselves."""
    events = sorted(pipeline.store.events(), key=lambda event: event.id)
    return [
        (
            event.id,
            event.start,
            event.confirmed,
            event.end,
            event.last,
            event.severity,
            event.peak_time,
            [culprit.metric for culprit in event.culprits],
            [change.key for change in pipeline.store.changes(event.id)],
        )
        for event in events
    ]
