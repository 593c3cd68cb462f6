"""The picture of an event: its culprits against what was expected of them, and the score, as one PNG.

Made for a phone: one column, few words, times in UTC. Gaps in the data stay gaps. Nothing here touches matplotlib's
global state, so that several notifiers may draw at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tsdiff_alerts.message.phrases import SHOWN_CULPRITS, culprit_text, number_text, printable, span_text, who
from tsdiff_monitor.events.details import Course, Snapshot, Values
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.plotting.axes import Layout, days, time_axis, value_axis
from tsdiff_monitor.plotting.bands import Band, plot_values, shade
from tsdiff_monitor.plotting.fonts import fit, font, width
from tsdiff_monitor.plotting.marks import EXPECTED_DASHES
from tsdiff_monitor.plotting.png import to_png
from tsdiff_monitor.plotting.scores import plot_score
from tsdiff_monitor.plotting.style import ON_WHITE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_WIDTH, _DPI = 4.8, 200  # inches: 960 pixels, drawn so that 9 points are readable on a phone
_EDGE, _LEFT, _RIGHT = 0.14, 0.62, 0.24
_HEAD, _TITLE, _PLOT, _SCORE, _GAP, _FOOT = 0.78, 0.22, 0.86, 0.6, 0.12, 0.3
_LABEL = 8  # points
_LAYOUT = Layout(width=_WIDTH, left=_LEFT, right=_RIGHT, per_inch=1, label_size=_LABEL, label_gap=4)
_SCORE_BINS = 300
_INK, _GREY = ON_WHITE.actual, ON_WHITE.text


def draw(change: EventChange) -> bytes | None:
    """A PNG of 960 pixels' width: at most three culprits, then the score; None where the change has no snapshot."""
    snapshot = change.details.snapshot
    if snapshot is None or not snapshot.score:
        return None
    courses = snapshot.courses[:SHOWN_CULPRITS]
    height = _HEAD + len(courses) * (_TITLE + _PLOT + _GAP) + _TITLE + _SCORE + _FOOT
    figure = _LAYOUT.figure(height)
    _write_head(figure, change, height)
    times, top = days(snapshot.times), _HEAD + _TITLE
    for course in courses:
        axes = _axes(figure, top, _PLOT, snapshot, change.event)
        _write_title(axes, course.metric, _numbers(change.event, course.metric))
        shown = plot_values(axes, times, _array(course.actual), _band(times, course), ON_WHITE)
        value_axis(axes, shown, number_text, intervals=3, digits=3)
        time_axis(axes, ON_WHITE, labels=False, fewest=3, most=6)
        _set_fonts(axes)
        top += _PLOT + _GAP + _TITLE
    axes = _axes(figure, top, _SCORE, snapshot, change.event)
    _write_title(axes, "How abnormal", "an alarm starts at 1")
    plot_score(axes, times, _array(snapshot.score), ON_WHITE, bins=_SCORE_BINS, text=number_text)
    time_axis(axes, ON_WHITE, fewest=3, most=6)
    _write_zone(axes)
    _set_fonts(axes)
    return to_png(figure, dots_per_inch=_DPI, paper=ON_WHITE.paper)


def _axes(figure: Figure, top: float, plot: float, snapshot: Snapshot, event: Event) -> Axes:
    """Axes over the snapshot's rows, ``plot`` inches high and ``top`` below the upper edge, the event shaded."""
    start, end = snapshot.start, snapshot.times[-1] + snapshot.step
    axes = _LAYOUT.axes(figure, top, plot, (start, end), ON_WHITE)
    last = event.end or end
    if event.start < end and last > start:
        shade(axes, (event.start, last), ON_WHITE.event, ON_WHITE)
    return axes


def _band(times: np.ndarray, course: Course) -> Band:
    return Band(times, *(_array(values) for values in (course.expected, course.lower, course.upper)))


def _set_fonts(axes: Axes) -> None:
    """The labels of both axes in the font that :func:`font` finds without a search."""
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set(**font(_LABEL, _GREY))


def _write_zone(axes: Axes) -> None:
    left = (_EDGE - _LEFT) * 72
    axes.annotate("UTC", (0, 0), (left, -4), textcoords="offset points", xycoords="axes fraction", va="top",
                  **font(_LABEL, _GREY))  # fmt: skip


def _write_head(figure: Figure, change: EventChange, height: float) -> None:
    """The headline, the time in words, and the meaning of the lines."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    def write(left: float, top: float, text: str, style: dict[str, Any]) -> None:
        figure.text(left / _WIDTH, 1 - top / height, text, parse_math=False, **style)

    write(_EDGE, 0.24, fit(_line(who(change.event)), _WIDTH - 2 * _EDGE, 9.5, bold=True), font(9.5, _INK, bold=True))
    span = f"{'abnormal' if change.event.end is None else 'was abnormal'} {span_text(change.event)}"
    write(_EDGE, 0.44, span, font(8.5, _GREY))
    styles: dict[str, dict[str, Any]] = {
        "actual": {"color": ON_WHITE.actual, "linewidth": 1.5},
        "expected": {"color": ON_WHITE.expected, "linewidth": 1.2, "linestyle": EXPECTED_DASHES},
    }
    left, top, key = _EDGE, 0.66, 0.26
    for word in ("actual", "expected", "expected range"):
        if word == "expected range":
            corner = (left / _WIDTH, 1 - (top + 0.03) / height)
            figure.add_artist(
                Rectangle(corner, key / _WIDTH, 0.11 / height, facecolor=ON_WHITE.band, alpha=ON_WHITE.band_tint)
            )
        else:
            ends, y = (left / _WIDTH, (left + key) / _WIDTH), 1 - (top - 0.03) / height
            figure.add_artist(Line2D(ends, (y, y), **styles[word]))
        write(left + key + 0.06, top, word, font(_LABEL, _GREY))
        left += key + 0.22 + width(word, _LABEL)


def _write_title(axes: Axes, name: str, said: str) -> None:
    """A panel's name on the left, its numbers on the right."""
    name = fit(_line(name), _WIDTH - _EDGE - _RIGHT - 0.2 - width(said, 8.5), 9, bold=True)
    indent = (_EDGE - _LEFT) * 72
    axes.annotate(name, (0, 1), (indent, 4), textcoords="offset points", xycoords="axes fraction", parse_math=False,
                  **font(9, _INK, bold=True))  # fmt: skip
    axes.annotate(said, (1, 1), (0, 4), textcoords="offset points", xycoords="axes fraction", ha="right",
                  **font(8.5, _GREY))  # fmt: skip


def _numbers(event: Event, metric: str) -> str:
    culprit = next((culprit for culprit in event.culprits if culprit.metric == metric), None)
    return "" if culprit is None else culprit_text(culprit)


def _line(text: str) -> str:
    return printable(text).strip()


def _array(values: Values) -> np.ndarray:
    """``[T]`` with NaN where there is no value."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
