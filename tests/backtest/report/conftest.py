"""A synthetic replay: daily waves with noise, injected incidents, and scores that answer most of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.backtest.report.replay import EventRows, GroupReplay, Replay
from tsdiff_monitor.events.event import Culprit, Event, Severity
from tsdiff_monitor.plugins import LabelledSpan
from tsdiff_monitor.timeseries.frame import Frame, Group, Series
from tsdiff_monitor.timeseries.scores import Expected, Scores

START = pd.Timestamp("2025-03-03", tz="UTC")
STEP = pd.Timedelta(minutes=1)
NAMES = ("latency_p99_ms", "requests_per_second", "error_ratio", "cpu_busy", "memory_working_set_bytes", "queue_depth")
_SCALES = (90.0, 1400.0, 0.004, 0.45, 3.2e9, 14.0)


class Factory:
    """Builds events, incidents, groups and replays; ``at`` arguments are row numbers."""

    start, step, names = START, STEP, NAMES

    def time(self, row: int) -> pd.Timestamp:
        return START + STEP * row

    def event(self, first: int, last: int, *, group: Group = (), open_: bool = False, **changes: Any) -> Event:
        values: dict[str, Any] = {
            "id": f"{'-'.join(v for _, v in group) or 'all'}-{first}",
            "monitor": "shop",
            "group": group,
            "start": self.time(first),
            "confirmed": self.time(first + 2),
            "last": self.time(last - 1),
            "end": None if open_ else self.time(last),
            "peak": 6.5,
            "peak_time": self.time((first + last) // 2),
            "severity": Severity.warning,
            "culprits": (
                Culprit("latency_p99_ms", 0.64, 412.0, 97.0, 80.0, 121.0),
                Culprit("error_ratio", 0.21, 0.052, 0.004, 0.002, 0.007),
                Culprit("cpu_busy", 0.15, None, None, None, None),
            ),
        }
        return Event(**{**values, **changes})

    def incident(
        self, first: int, last: int, *, group: Group = (), kind: str = "", culprits: tuple[str, ...] = ()
    ) -> LabelledSpan:
        return LabelledSpan(group, self.time(first), self.time(last), kind, culprits)

    def group(
        self,
        rows: int = 400,
        *,
        group: Group = (),
        events: Sequence[tuple[int, int]] | Sequence[Event] = (),
        incidents: Sequence[LabelledSpan] | None = None,
        names: tuple[str, ...] = NAMES,
        seed: int = 0,
        gaps: Sequence[tuple[int, int]] = (),
    ) -> GroupReplay:
        rng = np.random.default_rng(seed)
        series = tuple(Series(name) for name in names)
        K = len(names)
        scale = np.array([_SCALES[k % len(_SCALES)] for k in range(K)])
        phase = rng.uniform(0, 6.3, K)
        clean = scale * (1 + 0.25 * np.sin(np.arange(rows)[:, None] / 1440 * 6.283 + phase))
        values = clean * (1 + 0.03 * rng.standard_normal((rows, K)))
        score = 0.25 + 0.12 * np.abs(rng.standard_normal(rows)) + 0.1 * np.sin(np.arange(rows) / 200)
        made = [e if isinstance(e, Event) else self.event(*e, group=group) for e in events]
        for event in made:
            first, last = int((event.start - START) / STEP), int(((event.end or event.last) - START) / STEP)
            length = max(min(last, rows) - first, 0)
            bump = np.sin(np.linspace(0.4, 2.9, length)) if length else np.empty(0)
            score[first:last] += event.peak * bump
            for culprit in event.culprits:
                if culprit.metric in names:
                    values[first:last, names.index(culprit.metric)] *= 1 + 4 * culprit.attribution * bump
        for first, last in gaps:
            values[first:last] = np.nan
            score[first:last] = np.nan
        attribution = rng.dirichlet(np.ones(K), rows)
        attribution[~np.isfinite(score)] = 0
        frame = Frame(START, STEP, values, series)
        scores = Scores(frame.times, series, score, attribution)
        evidence = {}
        for event in made:
            first, last = frame.row(event.start) - 45, frame.row(event.end or event.last) + 45
            part = frame.rows(first, last)
            low = max(first, 0)
            rows_ = slice(low, low + len(part))
            expected = Expected(part.times, series, clean[rows_], clean[rows_] * 0.9, clean[rows_] * 1.1)
            cut = Scores(part.times, series, score[rows_], attribution[rows_])
            evidence[event.id] = EventRows(part, cut, expected)
        known = None if incidents is None else tuple(incidents)
        return GroupReplay(group, frame, scores, tuple(made), known, evidence)

    def replay(self, *groups: GroupReplay, **changes: Any) -> Replay:
        values: dict[str, Any] = {
            "title": "Backtest of shop",
            "monitor": "shop",
            "alarms_per_week": 1.0,
            "start": START,
            "end": max((group.frame.end for group in groups), default=START + STEP),
            "step": STEP,
            "groups": groups,
        }
        return Replay(**{**values, **changes})


@pytest.fixture
def make() -> Factory:
    """The factory."""
    return Factory()


@pytest.fixture
def labelled(make: Factory) -> Replay:
    """Two groups over 10 hours: two incidents found, one missed, one false event."""
    web, db = (("service", "web"),), (("service", "db"),)
    first = make.incident(100, 140, kind="memory leak", culprits=("latency_p99_ms",))
    return make.replay(
        make.group(
            600,
            group=web,
            events=[(103, 145), (400, 420)],
            incidents=[first, make.incident(500, 540, kind="traffic drop", culprits=("requests_per_second",))],
            gaps=[(300, 330)],
        ),
        make.group(600, group=db, events=[(220, 260)], incidents=[make.incident(210, 250, kind="slow disk")], seed=1),
        config_text="monitors:\n  shop: {alarms_per_week: 1}\n",
        notes=("The first 64 rows only filled the window.",),
    )
