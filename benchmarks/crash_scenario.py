"""The crash benchmark's scenario: scores of a few groups, and what is to become of them when nothing ever fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.events.grouping import group_events
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.timeseries.frame import Group, Series
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["CONFIG", "MONITOR", "PLACES", "START", "STEP", "Scenario", "explain", "make_scenario"]

MONITOR = "hosts"
PLACES = ("chat", "pager", "mail")
_ROWS = 64
STEP = pd.Timedelta(minutes=1)
CONFIG = MonitorConfig.model_validate(
    {
        "reader": "none",
        "scheduler": "none",
        "step": "1m",
        "queries": {"all": "*"},
        "notify": PLACES,
        "events": {"update_every": "5m", "cooldown": "6m", "resolve_rows": 3},
    }
)
START = pd.Timestamp("2026-03-01", tz="UTC")


@dataclass(frozen=True)
class Scenario:
    """Scores of some groups, with incidents at random times."""

    scores: Mapping[Group, Scores]

    def undisturbed(self) -> tuple[dict[str, EventChange], set[str]]:
        """Every change by its key, and the keys of those that are sent, when nothing ever fails: without any store."""
        changes: list[EventChange] = []
        for group, scores in self.scores.items():
            changes += EventTracker(CONFIG.events, MONITOR, group, TrackerState()).advance(scores, explain)
        joined = group_events(changes, (), CONFIG.events, STEP, lambda _: 0)
        changes += [change for change, _ in joined.incidents]
        sent: set[str] = set()
        aware: set[str] = set()  # the events that are open as far as the places know
        for change in sorted(changes, key=lambda change: (change.event.id, change.sequence)):
            event, ended = change.event.id, change.change is Change.resolved
            if event in aware if ended else change.key not in joined.suppressed:
                sent.add(change.key)
                aware = aware - {event} if ended else aware | {event}
        return {change.key: change for change in changes}, sent


def make_scenario(seed: int, groups: int = 4) -> Scenario:
    """Three metrics of each group, and two or three bursts of high scores with noisy edges, one of them common."""
    source = np.random.default_rng(seed)
    times = pd.date_range(START, periods=_ROWS, freq="min", tz="UTC")
    series = tuple(Series(name) for name in ("cpu", "disk", "net"))
    scores: dict[Group, Scores] = {}
    places = np.arange(2, _ROWS - 16, 10)
    common = source.choice(places)
    for number in range(groups):
        score = source.uniform(0.1, 0.7, _ROWS)
        for first in {common, *source.choice(places, 2, replace=False)}:
            score[first : first + source.integers(3, 12)] += source.uniform(0.8, 2.5)
        group = (("host", f"web-{number}"),)
        scores[group] = Scores(times, series, score, source.dirichlet([1.0, 1.0, 1.0], _ROWS))
    return Scenario(scores)


def explain(time: pd.Timestamp, names: Sequence[str]) -> Mapping[str, tuple[float, float, float, float]]:
    """Made-up actual values, expected ones and bands."""
    return dict.fromkeys(names, (float(time.minute), 1.0, 0.0, 2.0))
