"""A replay as one self-contained HTML page: no script, font, picture or style from anywhere else.

The page's content security policy forbids every request and every script but its own, which sorts tables: not even a
hostile metric name could make it fetch or run anything. The page is complete without that script.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache

import jinja2
import pandas as pd
from markupsafe import Markup

from tsdiff_monitor.backtest.judging import GRACE_STEPS, TOP_CULPRITS
from tsdiff_monitor.backtest.report import phrases
from tsdiff_monitor.backtest.report.pictures import timeline
from tsdiff_monitor.backtest.report.replay import GroupReplay, Replay
from tsdiff_monitor.backtest.report.sections import event_section, incident_section
from tsdiff_monitor.backtest.report.summary import Assessment
from tsdiff_monitor.events.event import Event
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["MAX_DETAILED", "MAX_MISSED", "MAX_ROWS", "MAX_TIMELINES", "render"]

MAX_DETAILED = 50
"""Events with a section of their own, by peak; the table holds the others too."""
MAX_MISSED = 20
"""Missed incidents with charts, by start; the table holds the others too."""
MAX_TIMELINES = 40
"""Groups with a chart, those with events or labelled incidents first."""
MAX_ROWS = 1000
"""Rows of the table of events, by peak; ``events.jsonl`` holds all."""


def render(replay: Replay, assessment: Assessment) -> str:
    """The page. The same replay always yields the same text."""
    pairs = sorted(
        ((group, event) for group in replay.groups for event in group.events),
        key=lambda pair: (-_peak(pair[1]), pair[1].start, pair[1].id),
    )
    linked = frozenset(event.id for _, event in pairs[:MAX_DETAILED])
    shown = sorted(pairs[:MAX_ROWS], key=lambda pair: (pair[1].start, pair[0].group, pair[1].id))
    events = [
        event_section(group, event, assessment, replay.step, detailed=event.id in linked) for group, event in shown
    ]
    charted = {id(match) for match in [match for match in assessment.matches if not match.detected][:MAX_MISSED]}
    incidents = [
        incident_section(match, replay.groups, replay.step, name=f"incident-{index}", detailed=id(match) in charted)
        for index, match in enumerate(assessment.matches, start=1)
    ]
    environment = _environment()
    script = environment.get_template("sort.js").render()
    return environment.get_template("report.html").render(
        replay=replay,
        summary=assessment.summary,
        verdict=phrases.verdict(replay, assessment),
        unlabelled=sum(group.incidents is None for group in replay.groups),
        known_culprits=sum(match.culprit_named is not None and match.detected for match in assessment.matches),
        timelines=_timelines(replay, assessment, linked),
        incidents=incidents,
        events=events,
        linked=linked,
        unlisted=len(pairs) - len(shown),
        grace=GRACE_STEPS,
        top=TOP_CULPRITS,
        version=__version__,
        # our own file, without a variable in it
        script=Markup(script),  # noqa: S704
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        moment=lambda time: phrases.moment(time, seconds=replay.step < pd.Timedelta(minutes=1)),
        title_of=lambda event: phrases.title_of(event, seconds=replay.step < pd.Timedelta(minutes=1)),
    )


def _timelines(replay: Replay, assessment: Assessment, linked: frozenset[str]) -> list[tuple[str, str, Markup]]:
    """Name, one line of numbers and chart of each group."""
    drawn = sorted(replay.groups, key=lambda group: not (group.events or group.incidents))[:MAX_TIMELINES]
    charts = []
    for index, group in enumerate(drawn):
        name = group_name(group.group)
        matches = [match for match in assessment.matches if group.group in match.groups]
        svg = timeline(
            group,
            (replay.start, replay.end),
            replay.step,
            name=f"timeline-{index}",
            label=f"Anomaly score of {name} over time, {_counts(group)}",
            verdicts=assessment.verdicts,
            matches=matches,
            linked=linked,
        )
        charts.append((name, _counts(group), svg))
    return charts


def _counts(group: GroupReplay) -> str:
    parts = [phrases.counted(len(group.frame.names), "metric"), phrases.counted(len(group.events), "event")]
    if group.incidents is not None:
        parts.append(phrases.counted(len(group.incidents), "labelled incident"))
    return " · ".join(parts)


def _peak(event: Event) -> float:
    return event.peak if math.isfinite(event.peak) else 0.0


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tsdiff_monitor.backtest.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        counted=phrases.counted,
        duration=lambda step: format_duration(step.to_pytimedelta()),
        group_name=group_name,
        at_peak=phrases.at_peak,
        explained=phrases.explained,
        number=phrases.number,
        percent=phrases.percent,
        span=phrases.span,
    )
    return environment
