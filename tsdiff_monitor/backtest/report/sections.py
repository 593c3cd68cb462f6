"""Contents of the page's template for each event and each labelled incident, in words and charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from tsdiff_monitor.backtest.report import phrases
from tsdiff_monitor.backtest.report.pictures import Panel, metric_panel, score_panel
from tsdiff_monitor.backtest.report.replay import GroupReplay, event_end
from tsdiff_monitor.backtest.report.summary import Assessment, Match, Verdict
from tsdiff_monitor.events.event import Culprit, Event
from tsdiff_monitor.plotting.axes import Extent
from tsdiff_monitor.timeseries.frame import Frame, group_name
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["Chart", "EventSection", "IncidentSection", "event_section", "incident_section"]

_MOST_SHARE = 0.9
"""Metrics are drawn until they carry this much of the score, within the limits below."""
_FEWEST_METRICS, _MOST_METRICS = 3, 5
_LISTED = 8
"""Culprits listed with their numbers."""
_CONTEXT_ROWS = 40
"""Rows shown at least before and after a missed incident."""


@dataclass(frozen=True)
class Chart:
    """One chart under its metric's name. ``culprit`` marks a metric that the labels blame."""

    title: str
    share: str
    svg: Markup
    culprit: bool = False


@dataclass(frozen=True)
class EventSection:
    """An event with everything the page says about it; ``charts`` is empty where no rows were kept around it."""

    event: Event
    group: str
    verdict: Verdict
    length: str
    matches: tuple[Match, ...]
    blamed: frozenset[str]
    charts: tuple[Chart, ...]

    @property
    def listed(self) -> tuple[Culprit, ...]:
        """The culprits that get a line of their own."""
        return self.event.culprits[:_LISTED]

    @property
    def unlisted(self) -> int:
        return len(self.event.culprits) - len(self.listed)

    @property
    def wait(self) -> str:
        """The time from the rise of the score to the opening of the event."""
        return phrases.span((self.event.confirmed - self.event.start).total_seconds())


@dataclass(frozen=True)
class IncidentSection:
    """A labelled incident; ``charts`` show why it may have been missed, and are empty for one that was found."""

    match: Match
    groups: tuple[str, ...]
    length: str
    delay: str
    charts: tuple[Chart, ...]
    highest: str


def event_section(
    group: GroupReplay, event: Event, assessment: Assessment, step: pd.Timedelta, *, detailed: bool
) -> EventSection:
    """The page's section on one event; charts only when ``detailed``."""
    matches = tuple(match for match in assessment.matches if event.id in match.event_ids)
    parts = [part for match in assessment.matches for part in match.parts if part.group == group.group]
    blamed = frozenset(name for match in matches for part in match.parts if part in parts for name in part.culprits)
    evidence = group.evidence.get(event.id) if detailed else None
    charts: tuple[Chart, ...] = ()
    if evidence is not None and len(evidence.frame):
        extent = (evidence.frame.start, evidence.frame.end)
        incidents = _within(((part.start, part.end) for part in parts), extent)
        panel = Panel(event.id, extent, step, (event.start, event_end(event, step)), incidents)
        shares = {culprit.metric: culprit.attribution for culprit in event.culprits} or _shares(evidence.scores)
        charts = _charts(panel, evidence.frame, evidence.scores, evidence.expected, shares, blamed)
    length = phrases.span((event_end(event, step) - event.start).total_seconds())
    return EventSection(event, group_name(group.group), assessment.verdicts[event.id], length, matches, blamed, charts)


def incident_section(
    match: Match, groups: Sequence[GroupReplay], step: pd.Timedelta, *, name: str, detailed: bool
) -> IncidentSection:
    """The page's section on one labelled incident; charts only when ``detailed``.

    A missed incident is drawn in one of its groups, the first whose culprits are known if there is one.
    """
    by_group = {group.group: group for group in groups}
    part = next((part for part in match.parts if part.culprits), match.parts[0])
    group = by_group[part.group]
    room = step * max(_CONTEXT_ROWS, int((part.end - part.start) / step / 2))
    charts: tuple[Chart, ...] = ()
    frame = group.frame.between(part.start - room, part.end + room)
    if detailed and len(frame):
        rows = (group.scores.times >= frame.start) & (group.scores.times < frame.end)
        scores = Scores(
            group.scores.times[rows], group.scores.series, group.scores.score[rows], group.scores.attribution[rows]
        )
        extent = (frame.start, frame.end)
        events = _within(((event.start, event_end(event, step)) for event in group.events), extent)
        panel = Panel(name, extent, step, events[0] if events else None, _within([(part.start, part.end)], extent))
        shares = dict.fromkeys((c for c in part.culprits if c in frame.names), 0.0) or _shares(scores)
        charts = _charts(panel, frame, scores, None, shares, frozenset(part.culprits))
    peaks = [_highest(by_group[part.group].scores, part.start, part.end) for part in match.parts]
    return IncidentSection(
        match,
        tuple(group_name(key) for key in match.groups),
        phrases.span((match.end - match.start).total_seconds()),
        phrases.span(match.delay_seconds),
        charts,
        phrases.number(max((peak for peak in peaks if peak is not None), default=None), 3),
    )


def _charts(
    panel: Panel,
    frame: Frame,
    scores: Scores,
    expected: Expected | None,
    shares: Mapping[str, float],
    blamed: frozenset[str],
) -> tuple[Chart, ...]:
    drawn = _drawn(shares, frame)
    charts = [Chart("anomaly score", "", score_panel(panel, scores.times, scores.score, axis=not drawn))]
    for metric in drawn:
        actual = frame.values[:, frame.names.index(metric)]
        svg = metric_panel(panel, metric, frame.times, actual, expected, axis=metric == drawn[-1])
        share = phrases.percent(shares[metric]) if shares[metric] else ""
        charts.append(Chart(metric, share, svg, metric in blamed))
    return tuple(charts)


def _drawn(shares: Mapping[str, float], frame: Frame) -> list[str]:
    drawn: list[str] = []
    for metric in (name for name in shares if name in frame.names):
        enough = sum(shares[name] for name in drawn) >= _MOST_SHARE and len(drawn) >= _FEWEST_METRICS
        if enough or len(drawn) == _MOST_METRICS:
            break
        drawn.append(metric)
    return drawn


def _shares(scores: Scores) -> dict[str, float]:
    """Mean attributions over the rows, largest first, for rows without a named culprit."""
    if not len(scores):
        return {}
    mean = np.nan_to_num(scores.attribution).mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:_FEWEST_METRICS]
    return {scores.series[k].name: float(mean[k]) for k in order}


def _within(spans: Iterable[Extent], extent: Extent) -> tuple[Extent, ...]:
    return tuple((start, end) for start, end in spans if start < extent[1] and end > extent[0])


def _highest(scores: Scores, start: pd.Timestamp, end: pd.Timestamp) -> float | None:
    inside = scores.score[(scores.times >= start) & (scores.times < end)]
    finite = inside[np.isfinite(inside)]
    return float(finite.max()) if finite.size else None
