"""The outcome of a rehearsal: one trial per incident, and the results over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import pandas as pd

from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["SELDOM", "GroupOutcome", "KindResult", "MetricResult", "Outcome", "Trial"]

SELDOM = 0.25
"""A metric would fail unnoticed if fewer of the incidents in it alone are found."""


@dataclass(frozen=True)
class Trial:
    """One incident and its result: ``delay`` in rows from its start to the event, None when it was not found.

    ``named``: True if one of its ``metrics`` is among the first three culprits of the event as it opened.
    """

    kind: str
    metrics: tuple[str, ...]
    rows: int
    magnitude: float
    delay: int | None
    named: bool

    @property
    def found(self) -> bool:
        return self.delay is not None


@dataclass(frozen=True)
class KindResult:
    """All incidents of one kind."""

    kind: str
    incidents: int
    found: int
    delay_rows: float | None
    """Median over those found."""
    culprit_in_top3: int

    @property
    def recall(self) -> float:
        """Share of the incidents that were found."""
        return self.found / self.incidents


@dataclass(frozen=True)
class MetricResult:
    """All incidents in one metric alone."""

    metric: str
    incidents: int
    found: int

    @property
    def share(self) -> float:
        """Share of the incidents that were found."""
        return self.found / self.incidents


@dataclass(frozen=True)
class GroupOutcome:
    """One group: its trials, and the rows they took place in.

    ``mixed`` are the trials of every kind, ``alone`` those in one metric each. ``events_without`` are events in the
    rows as they were: these rows were left out. ``still`` are metrics in which no incident could be made.
    """

    group: Group
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    model: str
    events_without: int
    mixed: tuple[Trial, ...]
    alone: tuple[Trial, ...]
    still: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The rehearsal of one monitor. ``known_groups`` is how many groups its source has now."""

    monitor: str
    step: pd.Timedelta
    seed: int
    per_kind: int
    alarms_per_week: float
    known_groups: int
    groups: tuple[GroupOutcome, ...]
    notes: tuple[str, ...] = field(default=())

    def kinds(self) -> list[KindResult]:
        """Per kind, in the order in which the kinds are documented; generated ones last."""
        from tsdiff_monitor.injection import KINDS

        trials = [trial for group in self.groups for trial in group.mixed]
        names = dict.fromkeys([*KINDS, *sorted(trial.kind for trial in trials)])
        by_kind = {name: [trial for trial in trials if trial.kind == name] for name in names}
        return [_of_kind(name, found) for name, found in by_kind.items() if found]

    def metrics(self) -> list[MetricResult]:
        """Per metric, over all groups that have it; the least noticed first."""
        by_name: dict[str, list[Trial]] = {}
        for group in self.groups:
            for trial in group.alone:
                by_name.setdefault(trial.metrics[0], []).append(trial)
        results = [
            MetricResult(name, len(trials), sum(trial.found for trial in trials)) for name, trials in by_name.items()
        ]
        return sorted(results, key=lambda result: (result.share, result.metric))

    def unnoticed(self) -> list[str]:
        """The metrics that would fail unnoticed."""
        return [result.metric for result in self.metrics() if result.share < SELDOM]

    def untried(self) -> list[str]:
        """The metrics in which no incident could be made in any group: without values, say."""
        tried = {result.metric for result in self.metrics()}
        return sorted({name for group in self.groups for name in group.still} - tried)

    def to_json(self) -> dict[str, Any]:
        """``rehearsal.json`` (docs/rehearsal.md)."""
        seconds = self.step.total_seconds()
        return {
            "monitor": self.monitor,
            "seed": self.seed,
            "per_kind": self.per_kind,
            "step_seconds": seconds,
            "alarms_per_week": self.alarms_per_week,
            "known_groups": self.known_groups,
            "groups": [_group_json(group) for group in self.groups],
            "kinds": [
                {
                    **asdict(one),
                    "recall": one.recall,
                    "delay_seconds": None if one.delay_rows is None else one.delay_rows * seconds,
                }
                for one in self.kinds()
            ],
            "metrics": [{**asdict(one), "share": one.share} for one in self.metrics()],
            "unnoticed": self.unnoticed(),
            "untried": self.untried(),
            "notes": list(self.notes),
        }


def _of_kind(name: str, trials: Sequence[Trial]) -> KindResult:
    delays = [trial.delay for trial in trials if trial.delay is not None]
    named = sum(trial.named for trial in trials if trial.found)
    return KindResult(name, len(trials), len(delays), float(median(delays)) if delays else None, named)


def _group_json(group: GroupOutcome) -> dict[str, Any]:
    return {
        "group": dict(group.group),
        "group_name": group_name(group.group),
        "start": group.start.isoformat(),
        "end": group.end.isoformat(),
        "rows": group.rows,
        "model": group.model,
        "events_without_incidents": group.events_without,
        "trials": [
            {**asdict(trial), "metrics": list(trial.metrics), "alone": alone}
            for trials, alone in ((group.mixed, False), (group.alone, True))
            for trial in trials
        ],
        "notes": list(group.notes),
    }
