"""The report's charts: a group's scores over the whole replay, and what its metrics did around one incident.

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
from tsdiff_monitor.plotting.marks import (
    AXIS_HEIGHT,
    WIDTH,
    Extent,
    days,
    mark,
    outline,
    plot_axes,
    plot_line,
    plot_score,
    shade,
    thin,
    thin_extremes,
    time_axis,
    value_axis,
)
from tsdiff_monitor.plotting.svg import COLOURS, draw
from tsdiff_monitor.timeseries.scores import Expected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "metric_panel", "score_panel", "timeline"]

_SCORE_BINS, _METRIC_BINS = 900, 150


@dataclass(frozen=True)
class Panel:
    """The common frame of the charts around one incident: the span shown, the event and the labelled incidents in it.

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
    height = top + plot + gap + lane * lanes + AXIS_HEIGHT

    def paint(figure: Figure) -> None:
        score_axes = plot_axes(figure, height, top, plot, extent, step)
        lane_axes = plot_axes(figure, height, top + plot + gap, lane * lanes, extent, step)
        lane_axes.set_ylim(lanes, 0)
        lane_axes.set_yticks([0.5, 1.5][:lanes], ["events", "incidents"][:lanes])
        for event in group.events:
            false, between = verdicts[event.id] == "false", (event.start, event_end(event, step))
            text = f"{'False event' if false else 'Event'} {title_of(event)}, peak score {number(event.peak, 3)}"
            url = f"#event-{event.id}" if event.id in linked else None
            role, marker = ("false", "D") if false else ("event", "o")
            shade(score_axes, between, role)
            mark(lane_axes, 0.5, between, role, marker, hollow=false, text=text, url=url)
        for match in matches:
            here = any(event.id in match.event_ids for event in group.events)
            result = "found" if here else "found in another group" if match.detected else "missed"
            role, marker = ("incident", "o") if match.detected else ("missed", "X")
            for part in (part for part in match.parts if part.group == group.group):
                text = f"{part.kind or 'incident'} from {moment(part.start)}, {result}"
                hollow = match.detected and not here
                mark(lane_axes, 1.5, (part.start, part.end), role, marker, hollow=hollow, text=text)
        plot_score(score_axes, *thin(days(group.scores.times), group.scores.score, _SCORE_BINS, np.fmax))
        time_axis(score_axes, labels=False)
        time_axis(lane_axes)

    return draw(WIDTH, height, name=name, label=label, paint=paint)


def score_panel(panel: Panel, times: pd.DatetimeIndex, score: np.ndarray, *, axis: bool = False) -> Markup:
    """The score ``[T]`` around one incident, with the threshold at 1; ``axis`` labels the times underneath."""
    thinned = thin(days(times), score, 2 * _METRIC_BINS, np.fmax)
    return _panel(panel, "score", "Anomaly score over time", 66, axis, lambda axes: plot_score(axes, *thinned))


def metric_panel(
    panel: Panel, metric: str, times: pd.DatetimeIndex, actual: np.ndarray, expected: Expected | None, *, axis: bool
) -> Markup:
    """One metric's values ``[T]`` around one incident, with what was expected where ``expected`` has the metric."""

    def paint(axes: Axes) -> None:
        shown = [actual[np.isfinite(actual)]]
        if expected is not None:
            shown += _expected(axes, expected, metric)
        plot_line(axes, *thin_extremes(days(times), actual, _METRIC_BINS), "actual", width=1.5)
        value_axis(axes, np.concatenate(shown), number)

    return _panel(panel, metric, f"{metric}: actual and expected over time", 80, axis, paint)


def _expected(axes: Axes, expected: Expected, metric: str) -> list[np.ndarray]:
    """Draw a metric's expectation, if there is one; returns the values that the scale must hold."""
    names = [one.name for one in expected.series]
    if metric not in names:
        return []
    column = names.index(metric)
    middle, lower, upper = (part[:, column] for part in (expected.yhat, expected.yhat_lower, expected.yhat_upper))
    times = days(expected.times)
    at, low = thin(times, lower, 2 * _METRIC_BINS, np.fmin)
    _, high = thin(times, upper, 2 * _METRIC_BINS, np.fmax)
    axes.fill_between(at, low, high, color=COLOURS["band"], alpha=0.3, linewidth=0)
    plot_line(axes, *thin_extremes(times, middle, _METRIC_BINS), "expected", width=1.2, dashes=(0, (4, 2.5)))
    return [middle[np.isfinite(middle)], _core(lower), _core(upper)]


def _core(values: np.ndarray) -> np.ndarray:
    """A band's limits without its few widest rows, which would flatten everything else on the scale."""
    finite = values[np.isfinite(values)]
    return np.asarray(np.quantile(finite, [0.02, 0.98])) if finite.size else finite


def _panel(panel: Panel, what: str, label: str, plot: int, axis: bool, paint: Callable[[Axes], None]) -> Markup:
    top = 5
    height = top + plot + (AXIS_HEIGHT if axis else 8)

    def on(figure: Figure) -> None:
        axes = plot_axes(figure, height, top, plot, panel.extent, panel.step)
        if panel.event is not None:
            shade(axes, panel.event, "event")
        for incident in panel.incidents:
            outline(axes, incident)
        paint(axes)
        time_axis(axes, labels=axis)

    return draw(WIDTH, height, name=f"{panel.name}/{what}", label=label, paint=on)
