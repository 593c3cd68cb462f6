"""The picture of an event: what its culprits did against what was expected of them, and the score, as one PNG.

Made for a phone: one column, few words, times in UTC. Gaps in the data stay gaps. Nothing here touches matplotlib's
global state, so that several notifiers may draw at the same time.
"""

from __future__ import annotations

import io
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsdiff_alerts.message.phrases import SHOWN_CULPRITS, culprit_text, number_text, printable, span_text, who
from tsdiff_monitor.events.details import Course, Snapshot, Values
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.plotting.fonts import fit, font, width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_WIDTH, _DPI = 4.8, 200  # inches: 960 pixels, drawn so that 9 points are readable on a phone
_EDGE, _LEFT, _RIGHT = 0.14, 0.62, 0.24
_HEAD, _TITLE, _PLOT, _SCORE, _GAP, _FOOT = 0.78, 0.22, 0.86, 0.6, 0.12, 0.3
_HIGHEST = 1e100  # beyond it matplotlib's own arithmetic overflows
_INK, _GREY, _GRID = "#1d1c1d", "#616061", "#e4e4e4"
_EXPECTED, _ALARM = "#1264a3", "#d1242f"
_STYLES: dict[str, dict[str, Any]] = {
    "actual": {"color": _INK, "linewidth": 1.5},
    "expected": {"color": _EXPECTED, "linewidth": 1.1, "linestyle": (0, (4, 2.5))},
}
_SCORE_TICKS = (2.0, 5.0, 10.0, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def draw(change: EventChange) -> bytes | None:
    """A PNG of 960 pixels' width: at most three culprits, then the score; None where the change has no snapshot."""
    snapshot = change.details.snapshot
    if snapshot is None or not snapshot.score:
        return None
    from matplotlib.figure import Figure

    courses = snapshot.courses[:SHOWN_CULPRITS]
    height = _HEAD + len(courses) * (_TITLE + _PLOT + _GAP) + _TITLE + _SCORE + _FOOT
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    _write_head(figure, change, height)
    top = _HEAD
    for course in courses:
        axes = _axes(figure, height, top, _PLOT, snapshot, change.event)
        _write_title(axes, course.metric, _numbers(change.event, course.metric))
        _plot_course(axes, _days(snapshot), course)
        top += _TITLE + _PLOT + _GAP
    axes = _axes(figure, height, top, _SCORE, snapshot, change.event)
    _write_title(axes, "How abnormal", "an alarm starts at 1")
    _plot_score(axes, _days(snapshot), _array(snapshot.score))
    _label_times(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()


def _axes(figure: Figure, height: float, top: float, plot: float, snapshot: Snapshot, event: Event) -> Axes:
    """Axes ``plot`` inches high with room for a title above, ``top`` inches below the upper edge, the event shaded."""
    from matplotlib.dates import AutoDateLocator

    bottom = height - top - _TITLE - plot
    axes = figure.add_axes((_LEFT / _WIDTH, bottom / height, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, plot / height))
    axes.set_facecolor("white")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GREY)
    axes.tick_params(length=0, pad=4)
    end = snapshot.times[-1] + snapshot.step
    axes.set_xlim(_day(snapshot.start), _day(end))
    axes.xaxis.set_major_locator(AutoDateLocator(tz=UTC, minticks=3, maxticks=6))  # type: ignore[no-untyped-call]
    axes.tick_params(axis="x", labelbottom=False)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    first, last = max(event.start, snapshot.start), min(event.end or end, end)
    if first < last:
        axes.axvspan(_day(first), _day(last), color=_ALARM, alpha=0.09, linewidth=0)
    return axes


def _plot_course(axes: Axes, days: np.ndarray, course: Course) -> None:
    actual, expected, lower, upper = (
        _array(values) for values in (course.actual, course.expected, course.lower, course.upper)
    )
    axes.fill_between(days, lower, upper, color=_EXPECTED, alpha=0.2, linewidth=0)
    _plot_line(axes, days, expected, **_STYLES["expected"])
    _plot_line(axes, days, actual, **_STYLES["actual"])
    shown = np.concatenate([part[np.isfinite(part)] for part in (actual, expected, lower, upper)])
    if not shown.size:
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        return
    low, high = float(shown.min()), float(shown.max())
    room = (high - low) * 0.1 or abs(high) * 0.05 or 1.0
    axes.set_ylim(low - room, high + room)
    _label_values(axes)


def _plot_score(axes: Axes, days: np.ndarray, score: np.ndarray) -> None:
    """On a scale that is linear up to the threshold at 1 and logarithmic above."""
    drawn = _squeeze(np.clip(score, 0.0, _SCORE_TICKS[-1]))
    top = float(np.nanmax(drawn, initial=1.3))
    axes.fill_between(days, 0, drawn, color=_GREY, alpha=0.12, linewidth=0)
    axes.fill_between(days, 1, drawn, where=np.nan_to_num(drawn) > 1, color=_ALARM, alpha=0.3, linewidth=0)
    _plot_line(axes, days, drawn, color=_INK, linewidth=1.2)
    axes.axhline(1.0, color=_ALARM, linewidth=1.0, linestyle=(0, (4, 2.5)))
    axes.set_ylim(0, top * 1.08)
    above = [tick for tick in _SCORE_TICKS if 1.25 < float(_squeeze(np.array(tick))) <= top]
    ticks = [1.0, *above[-1:]]
    positions = [float(_squeeze(np.array(tick))) for tick in ticks]
    axes.set_yticks(positions, [number_text(tick) for tick in ticks], **font(8, _GREY))


def _plot_line(axes: Axes, days: np.ndarray, values: np.ndarray, *, color: str, **style: Any) -> None:
    """A line with gaps where there is no value, and dots for values that stand alone."""
    axes.plot(days, values, color=color, solid_capstyle="round", **style)
    there = np.isfinite(values)
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    if alone.any():
        axes.plot(days[alone], values[alone], "o", color=color, markersize=2.4, markeredgewidth=0)


def _label_values(axes: Axes) -> None:
    """Two or three round values, with as many digits as it takes to distinguish them."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.get_ylim()
    spot = MaxNLocator(nbins=3, min_n_ticks=2).tick_values(low, high)
    ticks = [float(tick) for tick in spot if low <= tick <= high - 0.04 * (high - low)]  # not into the title
    labels = [number_text(tick) for tick in ticks]
    for digits in range(4, 9):
        if len(set(labels)) == len(labels):
            break
        labels = [number_text(tick, digits) for tick in ticks]
    axes.set_yticks(ticks, labels, **font(8, _GREY))


def _label_times(axes: Axes) -> None:
    from matplotlib.dates import ConciseDateFormatter

    formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        axes.xaxis.get_major_locator(),
        tz=UTC,
        formats=["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
        zero_formats=["%Y", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"],
        show_offset=False,
    )
    axes.xaxis.set_major_formatter(formatter)
    axes.tick_params(axis="x", labelbottom=True)
    for label in axes.get_xticklabels():
        label.set(**font(8, _GREY))
    left = (_EDGE - _LEFT) * 72
    axes.annotate("UTC", (0, 0), (left, -4), textcoords="offset points", xycoords="axes fraction", va="top",
                  **font(8, _GREY))  # fmt: skip


def _write_head(figure: Figure, change: EventChange, height: float) -> None:
    """The headline, the time in words, and what the lines mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    def write(left: float, top: float, text: str, style: dict[str, Any]) -> None:
        figure.text(left / _WIDTH, 1 - top / height, text, parse_math=False, **style)

    write(_EDGE, 0.24, fit(_line(who(change.event)), _WIDTH - 2 * _EDGE, 9.5, bold=True), font(9.5, _INK, bold=True))
    span = f"{'abnormal' if change.event.end is None else 'was abnormal'} {span_text(change.event)}"
    write(_EDGE, 0.44, span, font(8.5, _GREY))
    left, top, key = _EDGE, 0.66, 0.26
    for word in ("actual", "expected", "expected range"):
        if word == "expected range":
            corner = (left / _WIDTH, 1 - (top + 0.03) / height)
            figure.add_artist(Rectangle(corner, key / _WIDTH, 0.11 / height, facecolor=_EXPECTED, alpha=0.2))
        else:
            ends, y = (left / _WIDTH, (left + key) / _WIDTH), 1 - (top - 0.03) / height
            figure.add_artist(Line2D(ends, (y, y), **_STYLES[word]))
        write(left + key + 0.06, top, word, font(8, _GREY))
        left += key + 0.22 + width(word, 8)


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


def _squeeze(score: np.ndarray) -> np.ndarray:
    return np.where(score > 1, 1 + np.log(np.fmax(score, 1)), score)


def _array(values: Values) -> np.ndarray:
    """``[T]`` with NaN where there is no value; what is too large to draw is drawn at the edge of what can be."""
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.clip(array, -_HIGHEST, _HIGHEST)


def _days(snapshot: Snapshot) -> np.ndarray:
    return np.asarray(snapshot.times.as_unit("ns").asi8, dtype=np.float64) / 86_400e9


def _day(time: pd.Timestamp) -> float:
    return time.as_unit("ns").value / 86_400e9
