"""Quality of a replay: events against labelled incidents, by the rules that docs/report.md states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

import numpy as np
import pandas as pd

from tsdiff_monitor.backtest.judging import GRACE_STEPS, TOP_CULPRITS
from tsdiff_monitor.backtest.report.replay import GroupReplay, Replay, event_end
from tsdiff_monitor.events.event import Event
from tsdiff_monitor.plugins import LabelledSpan
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["Assessment", "Match", "Summary", "Verdict", "assess", "summarise"]

Verdict = Literal["found", "false", "unjudged"]
"""An event that meets a labelled incident, one that meets none, and one in a group without labels."""


@dataclass(frozen=True)
class Summary:
    """The numbers of ``summary.json``. The last six are None where the source carries no labels."""

    groups: int
    rows: int
    events: int
    labelled_incidents: int | None
    detected_incidents: int | None
    false_events: int | None
    false_events_per_week: float | None
    median_delay_seconds: float | None
    culprit_in_top3: int | None

    def to_json(self) -> dict[str, Any]:
        """The nine keys, in their fixed order."""
        return asdict(self)


@dataclass(frozen=True)
class Match:
    """One distinct labelled incident and what the monitor made of it.

    ``parts`` are its labels, one for each group it touched. ``culprit_named`` is None when no label names a culprit.
    """

    parts: tuple[LabelledSpan, ...]
    event_ids: tuple[str, ...]
    delay_seconds: float | None
    culprit_named: bool | None

    @property
    def detected(self) -> bool:
        return bool(self.event_ids)

    @property
    def kind(self) -> str:
        return self.parts[0].kind

    @property
    def start(self) -> pd.Timestamp:
        return min(part.start for part in self.parts)

    @property
    def end(self) -> pd.Timestamp:
        return max(part.end for part in self.parts)

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(part.group for part in self.parts)

    @property
    def culprits(self) -> tuple[str, ...]:
        """The true culprits over all groups, each once, in the order of the labels."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.culprits))


@dataclass(frozen=True)
class Assessment:
    """A summary with the tables behind it: ``matches`` by start, and a verdict for each event id."""

    summary: Summary
    matches: tuple[Match, ...]
    verdicts: Mapping[str, Verdict]


def summarise(replay: Replay) -> Summary:
    """The numbers of ``summary.json``."""
    return assess(replay).summary


def assess(replay: Replay) -> Assessment:
    """Judge every event and every labelled incident of a replay."""
    labelled = [group for group in replay.groups if group.incidents is not None]
    by_group = {group.group: group for group in labelled}
    matches = tuple(_match(parts, by_group, replay.step) for parts in _distinct(labelled))
    matched = {event_id for match in matches for event_id in match.event_ids}
    verdicts: dict[str, Verdict] = {event.id: "unjudged" for group in replay.groups for event in group.events}
    for group in labelled:
        verdicts.update({event.id: "found" if event.id in matched else "false" for event in group.events})
    events = sum(len(group.events) for group in replay.groups)
    rows = sum(int(np.isfinite(group.scores.score).sum()) for group in replay.groups)
    if not labelled:
        return Assessment(Summary(len(replay.groups), rows, events, *[None] * 6), matches, verdicts)
    detected = [match for match in matches if match.detected]
    delays = [match.delay_seconds for match in detected if match.delay_seconds is not None]
    false = sum(verdict == "false" for verdict in verdicts.values())
    summary = Summary(
        groups=len(replay.groups),
        rows=rows,
        events=events,
        labelled_incidents=len(matches),
        detected_incidents=len(detected),
        false_events=false,
        false_events_per_week=false / replay.weeks if replay.weeks else None,
        median_delay_seconds=float(median(delays)) if delays else None,
        culprit_in_top3=_culprits_named(matches),
    )
    return Assessment(summary, matches, verdicts)


def _distinct(labelled: list[GroupReplay]) -> list[tuple[LabelledSpan, ...]]:
    """The labels of one incident belong together: same kind and start; without a kind, each stands alone."""
    merged: dict[tuple[Any, ...], list[LabelledSpan]] = {}
    for group in labelled:
        for index, incident in enumerate(group.incidents or ()):
            key = (incident.kind, incident.start) if incident.kind else (group.group, index)
            # the label's own group is not trusted to be spelled like the replay's
            part = LabelledSpan(group.group, incident.start, incident.end, incident.kind, incident.culprits)
            merged.setdefault(key, []).append(part)
    parts = [tuple(found) for found in merged.values()]
    return sorted(parts, key=lambda found: (found[0].start, found[0].end, found[0].kind, found[0].group))


def _match(parts: tuple[LabelledSpan, ...], groups: Mapping[Group, GroupReplay], step: pd.Timedelta) -> Match:
    met = [(part, event) for part in parts for event in groups[part.group].events if _meets(event, part, step)]
    waits = [(event.confirmed - part.start).total_seconds() for part, event in met]
    named = None
    if any(part.culprits for part in parts):
        named = any(culprit.metric in part.culprits for part, event in met for culprit in event.culprits[:TOP_CULPRITS])
    ids = tuple(dict.fromkeys(event.id for _, event in met))
    return Match(parts, ids, max(min(waits), 0.0) if waits else None, named)


def _meets(event: Event, incident: LabelledSpan, step: pd.Timedelta) -> bool:
    end = max(event_end(event, step), event.start + step)
    return event.start < incident.end + step * GRACE_STEPS and end > incident.start


def _culprits_named(matches: tuple[Match, ...]) -> int | None:
    named = [match.culprit_named for match in matches if match.culprit_named is not None]
    return sum(named) if named else None
