"""The report's charts: a group's scores over the whole replay, and its metrics around one incident.

Times are drawn in UTC. Gaps in the data stay gaps, and values that stand alone between gaps are drawn as dots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from markupsafe import Markup

from tsdiff_monitor.backtest.report.phrases import moment, number, title_of
from tsdiff_monitor.backtest.report.replay import GroupReplay, event_end
from tsdiff_monitor.backtest.report.summary import Match, Verdict
from tsdiff_monitor.plotting.axes import Extent, Layout, days, time_axis, value_axis
from tsdiff_monitor.plotting.bands import Band, outline, plot_values, shade
from tsdiff_monitor.plotting.marks import mark
from tsdiff_monitor.plotting.scores import plot_score
from tsdiff_monitor.plotting.style import ON_PAGE
from tsdiff_monitor.plotting.svg import to_svg
from tsdiff_monitor.timeseries.scores import Expected

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Panel", "metric_panel", "score_panel", "timeline"]

_LAYOUT = Layout(width=1000, left=62, right=24, per_inch=72, label_size=11, label_gap=8)  # pixels
_AXIS_HEIGHT = 22
_TIMELINE_BINS, _PANEL_BINS = 900, 300


@dataclass(frozen=True)
class Panel:
    """The common part of the charts around one incident: the span shown, the event and the labelled incidents in it.

    ``name`` makes the ids of a chart unique on the page; ``event`` is None around an incident that was missed.
    """

    name: str
    extent: Extent
    step: pd.Timedelta
    event: Extent | None
    incidents: tuple[Extent, ...]


def timeline(
    group: GroupReplay,
    extent: Extent,
    step: pd.Timedelta,
    *,
    name: str,
    label: str,
    verdicts: Mapping[str, Verdict],
    matches: Sequence[Match],
    linked: frozenset[str],
) -> Markup:
    """A group's scores over the replay, with its events and labelled incidents as two lanes underneath.

    Events in ``linked`` link to their sections. ``matches`` are those that touch the group.
    """
    lanes = 1 if group.incidents is None else 2
    top, plot, gap, lane = 8, 96, 8, 20
    figure = _LAYOUT.figure(top + plot + gap + lane * lanes + _AXIS_HEIGHT)
    shown = _at_least(extent, step)
    score_axes = _LAYOUT.axes(figure, top, plot, shown, ON_PAGE)
    lane_axes = _LAYOUT.axes(figure, top + plot + gap, lane * lanes, shown, ON_PAGE)
    lane_axes.set_ylim(lanes, 0)
    lane_axes.set_yticks([0.5, 1.5][:lanes], ["events", "incidents"][:lanes])
    for event in group.events:
        false, between = verdicts[event.id] == "false", (event.start, event_end(event, step))
        text = f"{'False event' if false else 'Event'} {title_of(event)}, peak score {number(event.peak, 3)}"
        url = f"#event-{event.id}" if event.id in linked else None
        colour, marker = (ON_PAGE.false, "D") if false else (ON_PAGE.event, "o")
        shade(score_axes, between, colour, ON_PAGE)
        mark(lane_axes, 0.5, between, colour, marker, hollow=ON_PAGE.paper if false else None, text=text, url=url)
    for match in matches:
        _mark_incident(lane_axes, group, match)
    _plot_score(score_axes, group.scores.times, group.scores.score, _TIMELINE_BINS)
    time_axis(score_axes, ON_PAGE, labels=False)
    time_axis(lane_axes, ON_PAGE)
    return to_svg(figure, name=name, label=label)


def _mark_incident(axes: Axes, group: GroupReplay, match: Match) -> None:
    """Mark a labelled incident's parts in this group on the lane of incidents."""
    here = any(event.id in match.event_ids for event in group.events)
    result = "found" if here else "found in another group" if match.detected else "missed"
    colour, marker = (ON_PAGE.incident, "o") if match.detected else (ON_PAGE.missed, "X")
    hollow = ON_PAGE.paper if match.detected and not here else None
    for part in (part for part in match.parts if part.group == group.group):
        text = f"{part.kind or 'incident'} from {moment(part.start)}, {result}"
        mark(axes, 1.5, (part.start, part.end), colour, marker, hollow=hollow, text=text)


def _at_least(extent: Extent, step: pd.Timedelta) -> Extent:
    """``extent``, a step long where it is shorter."""
    return extent[0], max(extent[1], extent[0] + step)


def score_panel(panel: Panel, times: pd.DatetimeIndex, score: np.ndarray, *, axis: bool = False) -> Markup:
    """The score ``[T]`` around one incident, with the threshold at 1; ``axis`` labels the times underneath."""
    return _panel(
        panel, "score", "Anomaly score over time", 66, axis, lambda axes: _plot_score(axes, times, score, _PANEL_BINS)
    )


def _plot_score(axes: Axes, times: pd.DatetimeIndex, score: np.ndarray, bins: int) -> None:
    plot_score(axes, days(times), score, ON_PAGE, bins=bins, text=lambda tick: f"{tick:,.0f}")


def metric_panel(
    panel: Panel, metric: str, times: pd.DatetimeIndex, actual: np.ndarray, expected: Expected | None, *, axis: bool
) -> Markup:
    """One metric's values ``[T]`` around one incident, with what was expected where ``expected`` has the metric."""

    def paint(axes: Axes) -> None:
        value_axis(axes, plot_values(axes, days(times), actual, _band(expected, metric), ON_PAGE), number)

    return _panel(panel, metric, f"{metric}: actual and expected over time", 80, axis, paint)


def _band(expected: Expected | None, metric: str) -> Band | None:
    """A metric's expectation, if there is one."""
    names = [] if expected is None else [one.name for one in expected.series]
    if expected is None or metric not in names:
        return None
    column = names.index(metric)
    return Band(
        days(expected.times), *(part[:, column] for part in (expected.yhat, expected.yhat_lower, expected.yhat_upper))
    )


def _panel(panel: Panel, what: str, label: str, plot: int, axis: bool, paint: Callable[[Axes], None]) -> Markup:
    top = 5
    figure = _LAYOUT.figure(top + plot + (_AXIS_HEIGHT if axis else 8))
    axes = _LAYOUT.axes(figure, top, plot, _at_least(panel.extent, panel.step), ON_PAGE)
    if panel.event is not None:
        shade(axes, panel.event, ON_PAGE.event, ON_PAGE)
    for incident in panel.incidents:
        outline(axes, incident, ON_PAGE.incident)
    paint(axes)
    time_axis(axes, ON_PAGE, labels=axis)
    return to_svg(figure, name=f"{panel.name}/{what}", label=label)
