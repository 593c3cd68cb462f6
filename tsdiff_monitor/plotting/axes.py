"""Axes of charts: a column of them with shared margins, times in UTC, and scales that hold what is shown.

Positions on the time axis are days since the epoch. Nothing here reads or changes matplotlib's global settings more
than a new figure does, so that several threads may draw at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsdiff_monitor.plotting.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Extent", "Layout", "day", "days", "time_axis", "value_axis", "visible"]

Extent = tuple[pd.Timestamp, pd.Timestamp]
"""A span ``start <= t < end``."""

_MOST_DIGITS = 8
_HEADROOM = 0.04
"""The share of a scale at its upper end that carries no label, which would run into what is written above."""
_NARROWEST = 2.0
"""Points that even the shortest span is wide."""


@dataclass(frozen=True)
class Layout:
    """Width and side margins of a column of charts, in one unit of which ``per_inch`` make an inch.

    ``label_size`` and ``label_gap`` (between an axis and its labels) are in points.
    """

    width: float
    left: float
    right: float
    per_inch: float
    label_size: float
    label_gap: float

    def figure(self, height: float) -> Figure:
        """An empty figure without a background, ``height`` units high."""
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width / self.per_inch, height / self.per_inch), facecolor="none")

    def axes(self, figure: Figure, top: float, height: float, extent: Extent, style: Style) -> Axes:
        """Axes ``height`` units high and ``top`` units below the figure's upper edge, from ``extent``'s start to end.

        They show the time axis without ticks and no value axis: see :func:`time_axis` and :func:`value_axis`.
        """
        whole = figure.get_figheight() * self.per_inch
        inner = self.width - self.left - self.right
        bounds = (self.left / self.width, 1 - (top + height) / whole, inner / self.width, height / whole)
        axes = figure.add_axes(bounds)
        axes.patch.set_visible(False)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set(color=style.line, linewidth=0.8)
        axes.tick_params(length=0, labelcolor=style.text, labelsize=self.label_size)
        axes.tick_params(axis="y", pad=self.label_gap)
        axes.set_xlim(day(extent[0]), day(extent[1]))
        axes.set_xticks([])
        return axes


def time_axis(axes: Axes, style: Style, *, labels: bool = True, fewest: int = 4, most: int = 9) -> None:
    """Between ``fewest`` and ``most`` ticks at round UTC times as hairlines; ``labels`` names them underneath."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=UTC, minticks=fewest, maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.grid(axis="x", color=style.grid, linewidth=0.7)
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


def value_axis(
    axes: Axes, shown: np.ndarray, text: Callable[[float, int], str], *, intervals: int = 2, digits: int = 4
) -> None:
    """A scale that holds the values ``shown[N]`` (finite; may be empty), with about ``intervals`` round steps.

    ``text`` writes a number with so many significant digits: ``digits``, or as many (up to eight) as it takes
    to keep the labels apart.
    """
    from matplotlib.ticker import MaxNLocator

    if not shown.size:
        axes.set_yticks([])
        axes.set_ylim(0, 1)
        return
    low, high = float(shown.min()), float(shown.max())
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    spots = MaxNLocator(nbins=intervals, min_n_ticks=2).tick_values(low, high)
    ticks = [float(spot) for spot in spots if low <= spot <= high - _HEADROOM * (high - low)]
    for precision in range(digits, _MOST_DIGITS + 1):
        labels = [text(tick, precision) for tick in ticks]
        if len(set(labels)) == len(labels):
            break
    axes.set_yticks(ticks, labels)
    axes.set_ylim(low, high)


def visible(axes: Axes, between: Extent) -> tuple[float, float]:
    """A span on the time axis, clipped to it and at least two points wide."""
    low, high = axes.get_xlim()
    first, last = (min(max(day(time), low), high) for time in between)
    points = axes.bbox.width / axes.figure.dpi * 72
    return first, max(last, first + (high - low) * _NARROWEST / points)


def day(time: pd.Timestamp) -> float:
    """A time as a position on the time axis."""
    return time.as_unit("ns").value / 86_400e9


def days(times: pd.DatetimeIndex) -> np.ndarray:
    """Times ``[T]`` as positions on the time axis."""
    return np.asarray(times.as_unit("ns").asi8, dtype=np.float64) / 86_400e9
