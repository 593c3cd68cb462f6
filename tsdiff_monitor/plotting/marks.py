"""The parts of the report's charts: axes in UTC, lines with gaps, the score's scale, spans and lanes.

Positions on the time axis are days since the epoch. Long series are thinned without losing a peak.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from tsdiff_monitor.plotting.svg import COLOURS, tip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AXIS_HEIGHT",
    "WIDTH",
    "Extent",
    "days",
    "mark",
    "outline",
    "plot_axes",
    "plot_line",
    "plot_score",
    "shade",
    "thin",
    "thin_extremes",
    "time_axis",
    "value_axis",
]

Extent = tuple[pd.Timestamp, pd.Timestamp]
"""A span ``start <= t < end``."""

WIDTH: Final = 1000
AXIS_HEIGHT: Final = 22
_LEFT, _RIGHT = 62, 24
_HIGHEST = 1e6  # where the scale ends, so that an infinite score has a place on it
_SCORE_TICKS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def plot_axes(figure: Figure, height: int, top: int, plot: int, extent: Extent, step: pd.Timedelta) -> Axes:
    """Axes of ``plot`` pixels, ``top`` pixels below the figure's upper edge; every chart has the same margins."""
    inner = WIDTH - _LEFT - _RIGHT
    axes = figure.add_axes((_LEFT / WIDTH, 1 - (top + plot) / height, inner / WIDTH, plot / height))
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", pad=8)
    axes.set_xlim(_day(extent[0]), max(_day(extent[1]), _day(extent[0] + step)))
    axes.set_xticks([])
    return axes


def time_axis(axes: Axes, *, labels: bool = True) -> None:
    """Ticks at round UTC times as hairlines, with their names underneath unless ``labels`` is off."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.grid(axis="x", color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    if not labels:
        axes.tick_params(axis="x", labelbottom=False)
        return
    names = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
    zeros = ["%Y", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"]
    formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]
        locator, tz=UTC, formats=names, zero_formats=zeros, show_offset=False
    )
    axes.xaxis.set_major_formatter(formatter)


def value_axis(axes: Axes, shown: np.ndarray, text: Callable[[float], str]) -> None:
    """A scale that holds the values ``shown`` (finite; may be empty), its ticks written by ``text``."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    if not shown.size:
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        return
    low, high = float(shown.min()), float(shown.max())
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    axes.set_ylim(low - room, high + room)


def plot_score(axes: Axes, times: np.ndarray, score: np.ndarray) -> None:
    """Scores on a scale that is linear up to the threshold and logarithmic above, smooth where the two meet."""
    drawn = _squeeze(np.clip(score, 0.0, _HIGHEST))
    top = float(np.nanmax(drawn, initial=1.0))
    axes.fill_between(times, 0, drawn, color=COLOURS["score"], alpha=0.12, linewidth=0)
    plot_line(axes, times, drawn, "score", width=1.1)
    above = np.nan_to_num(drawn) > 1
    axes.fill_between(times, drawn, 1, where=above, interpolate=True, color=COLOURS["alert"], alpha=0.85, linewidth=0)
    axes.axhline(1.0, color=COLOURS["alert"], linewidth=1.0, linestyle=(0, (5, 3)))
    kept = _score_ticks(top)
    axes.set_yticks(kept, [f"{np.expm1(tick - 1) + 1 if tick > 1 else tick:,.0f}" for tick in kept])
    axes.set_ylim(0, max(top, 1.3) * 1.06)


def _score_ticks(top: float) -> list[float]:
    """Zero, the threshold and as many round scores above as have room, the highest first; on the drawn scale."""
    positions = [float(_squeeze(np.array(tick))) for tick in _SCORE_TICKS]
    kept: list[float] = []
    for position in reversed([position for position in positions[2:] if position <= top]):
        if all(abs(position - other) > 0.2 * top for other in [*kept, 1.0]):
            kept.append(position)
    return [0.0, 1.0, *reversed(kept)]


def _squeeze(score: np.ndarray) -> np.ndarray:
    return np.where(score > 1, 1 + np.log(np.fmax(score, 1)), score)


def plot_line(
    axes: Axes,
    times: np.ndarray,
    values: np.ndarray,
    role: str,
    *,
    width: float,
    dashes: tuple[int, tuple[float, float]] | str = "-",
) -> None:
    """A line with gaps where ``values`` are NaN, and dots for those without neighbours."""
    axes.plot(times, values, color=COLOURS[role], linewidth=width, linestyle=dashes)
    there = np.isfinite(values)
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    if alone.any():
        axes.plot(times[alone], values[alone], "o", color=COLOURS[role], markersize=2.4, markeredgewidth=0)


def shade(axes: Axes, between: Extent, role: str) -> None:
    """An event's span, tinted."""
    first, last = _visible(axes, between)
    axes.axvspan(first, last, color=COLOURS[role], alpha=0.16, linewidth=0)


def outline(axes: Axes, between: Extent) -> None:
    """A labelled incident's span, hatched between dotted edges, so that an event's tint shows through."""
    first, last = _visible(axes, between)
    axes.axvspan(first, last, facecolor="none", edgecolor=COLOURS["incident"], hatch="//", linewidth=0, alpha=0.4)
    for edge in (first, last):
        axes.axvline(edge, color=COLOURS["incident"], linewidth=1.1, linestyle=(0, (1.5, 2)))


def mark(
    axes: Axes,
    y: float,
    between: Extent,
    role: str,
    marker: str,
    *,
    text: str,
    hollow: bool = False,
    url: str | None = None,
) -> None:
    """A bar with a marker at its start, on the lane at height ``y``."""
    first, last = _visible(axes, between)
    (bar,) = axes.plot([first, last], [y, y], color=COLOURS[role], linewidth=3.0, solid_capstyle="butt")
    face = COLOURS["paper"] if hollow else COLOURS[role]
    (point,) = axes.plot([first], [y], marker, color=COLOURS[role], markerfacecolor=face, markersize=6.0)
    for artist in (bar, point):
        artist.set_gid(tip(text))
        artist.set_clip_on(False)
        if url is not None:
            artist.set_url(url)


def _visible(axes: Axes, between: Extent) -> tuple[float, float]:
    """A span in days, clipped to the axes and at least two pixels wide."""
    low, high = axes.get_xlim()
    first, last = (min(max(_day(time), low), high) for time in between)
    return first, max(last, first + (high - low) * 2 / (WIDTH - _LEFT - _RIGHT))


def _day(time: pd.Timestamp) -> float:
    return time.as_unit("ns").value / 86_400e9


def days(times: pd.DatetimeIndex) -> np.ndarray:
    """Times ``[T]`` as positions on the time axis."""
    return np.asarray(times.as_unit("ns").asi8, dtype=np.float64) / 86_400e9


def _bins(values: np.ndarray, bins: int) -> np.ndarray:
    """``values`` as ``[bins, rows per bin]``, padded with NaN."""
    per_bin = -(-len(values) // bins)
    padded = np.full(-(-len(values) // per_bin) * per_bin, np.nan)
    padded[: len(values)] = values
    return padded.reshape(-1, per_bin)


def thin(times: np.ndarray, values: np.ndarray, bins: int, keep: np.ufunc) -> tuple[np.ndarray, np.ndarray]:
    """At most ``bins`` points, each ``keep`` (``np.fmax``, ``np.fmin``) of its rows; NaN where all of them are."""
    if len(values) <= bins:
        return times, np.asarray(values, dtype=np.float64)
    return np.fmin.reduce(_bins(times, bins), axis=1), keep.reduce(_bins(values, bins), axis=1)


def thin_extremes(times: np.ndarray, values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``2 * bins`` points that keep the minimum and the maximum of every bin."""
    if len(values) <= 2 * bins:
        return times, np.asarray(values, dtype=np.float64)
    first, low = thin(times, values, bins, np.fmin)
    _, high = thin(times, values, bins, np.fmax)
    half = (first[1] - first[0]) / 2
    return np.column_stack([first, first + half]).ravel(), np.column_stack([low, high]).ravel()
