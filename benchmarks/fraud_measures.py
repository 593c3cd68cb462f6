"""Incidents of the fraud data, and which of them a list of alarms has found. The only place where labels are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from benchmarks.fraud_baselines import Alarm

__all__ = ["CASES", "Case", "incidents", "judge"]

_DAY = 86_400
_WITHIN = 3 * _DAY
_APART = 14 * _DAY
"""Fraudulent payments of a group further apart than this belong to two incidents."""
_AFTER = 10 * _DAY
"""An event that begins so long after the last fraud of an incident may still be about it: rows look back so far."""


@dataclass(frozen=True)
class Case:
    """One configuration's target: the ``count``th fraud of a ``scenario``, known ``delay`` seconds later."""

    name: str
    key: str
    label: str
    scenario: int
    count: int
    delay: int
    baseline: Literal["deviation", "sum"]


CASES = {
    "cards": Case("cards", "customer_id", "customer", 3, 1, 0, "deviation"),
    "terminals": Case("terminals", "terminal_id", "terminal", 2, 3, 7 * _DAY, "sum"),
}


def incidents(case: Case, labels: pd.DataFrame) -> pd.DataFrame:
    """One row per incident: ``group``, ``first``, ``due`` (when it counts as known) and ``last``, in Unix seconds.

    ``due`` is NaN where there were fewer frauds than that takes.
    """
    fraud = labels[labels["scenario"] == case.scenario].sort_values([case.key, "t"], kind="stable")
    seen, key = fraud["t"].to_numpy() + case.delay, fraud[case.key].to_numpy()
    new = np.ones(len(fraud), dtype=bool)
    new[1:] = (key[1:] != key[:-1]) | (np.diff(seen) > _APART)
    number = np.cumsum(new)
    found = pd.DataFrame({"number": number, "group": key.astype(str), "seen": seen})
    out = found.groupby("number").agg(group=("group", "first"), first=("seen", "min"), last=("seen", "max"))
    counted = found[found.groupby("number").cumcount() == case.count - 1].set_index("number")
    return out.assign(due=counted["seen"])


def judge(
    case: Case,
    labels: pd.DataFrame,
    alarms: Sequence[Alarm],
    step: pd.Timedelta,
    watched: tuple[pd.Timestamp, pd.Timestamp],
) -> dict[str, Any]:
    """Incidents found in time, and false events a week.

    An incident that is due in the watched time, three days before its end at the latest, is found when an event is
    confirmed by a row that is over after its first fraud is known and within three days after it is due. An event is
    false when it neither overlaps an incident nor begins within ten days after one nor, where payments are known to be
    fraudulent at once, holds one of any scenario: with a delay, single reports are what there is to distinguish.
    """
    start, end = (int(time.timestamp()) for time in watched)
    every = incidents(case, labels)
    due = every[(every["due"] >= start) & (every["due"] <= end - _WITHIN)]
    width = int(step.total_seconds())
    table = pd.DataFrame(
        {
            "group": [alarm.group for alarm in alarms],
            "start": [int(alarm.start.timestamp()) for alarm in alarms],
            "known": [int(alarm.confirmed.timestamp()) + width for alarm in alarms],
            "end": [int(alarm.end.timestamp()) + width for alarm in alarms],
        }
    ).astype({"group": str, "start": "int64", "known": "int64", "end": "int64"})
    by_group = {str(group): part["known"].to_numpy() for group, part in table.groupby("group")}
    hours = []
    for group, first, known in zip(due["group"], due["first"].tolist(), due["due"].tolist(), strict=True):
        times = by_group.get(str(group), np.zeros(0))
        times = times[(times > first) & (times <= known + _WITHIN)]
        if len(times):
            hours.append((times.min() - known) / 3600)
    frauds = labels[(labels["fraud"] == 1) & (case.delay == 0)]
    spans = every.assign(last=every["last"] + _AFTER)[["group", "first", "last"]]
    single = pd.DataFrame({"group": frauds[case.key].astype(str), "first": frauds["t"], "last": frauds["t"]})
    about = {str(group): part for group, part in pd.concat([spans, single]).groupby("group")}
    true = np.zeros(len(table), dtype=bool)
    for row, (group, begin, last) in enumerate(zip(table["group"], table["start"], table["end"], strict=True)):
        if group in about:
            true[row] = bool(((about[group]["first"] < last) & (about[group]["last"] >= begin)).any())
    weeks = (end - start) / (7 * _DAY)
    return {
        "incidents": len(due),
        "found": len(hours),
        "recall": round(len(hours) / max(len(due), 1), 3),
        "events_per_week": round(len(table) / weeks, 2),
        "false_per_week": round(float((~true).sum()) / weeks, 2),
        "median_hours": round(float(np.median(hours)), 1) if hours else float("nan"),
    }
