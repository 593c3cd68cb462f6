"""Marks of charts: lines with gaps, and bars on a lane with a tooltip each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tsdiff_monitor.plotting.axes import Extent, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EXPECTED_DASHES", "TIP", "Dashes", "mark", "plot_line", "tip"]

Dashes = tuple[int, tuple[float, float]] | str
"""matplotlib's line style: its name, or an offset and the lengths of dash and gap in line widths."""

EXPECTED_DASHES: Final = (0, (4.0, 2.5))
"""The line of what was expected."""

TIP: Final = "tip:"
"""The start of a ``gid`` that holds a tooltip."""


def tip(text: str) -> str:
    """The ``gid`` that gives a mark this tooltip, in one line, on a page."""
    return TIP + " ".join(text.split())


def plot_line(
    axes: Axes, times: np.ndarray, values: np.ndarray, colour: str, *, width: float, dashes: Dashes = "-"
) -> None:
    """A line through ``values[T]`` at the positions ``times[T]``, with gaps where they are NaN.

    Values without neighbours are dots. ``width`` is in points.
    """
    axes.plot(times, values, color=colour, linewidth=width, linestyle=dashes, solid_capstyle="round")
    there = np.isfinite(values)
    alone = there & ~np.r_[False, there[:-1]] & ~np.r_[there[1:], False]
    if alone.any():
        axes.plot(times[alone], values[alone], "o", color=colour, markersize=2.4, markeredgewidth=0)


def mark(
    axes: Axes,
    y: float,
    between: Extent,
    colour: str,
    marker: str,
    *,
    text: str,
    hollow: str | None = None,
    url: str | None = None,
) -> None:
    """A bar with a marker at its start, on the lane at height ``y``, with the tooltip ``text``.

    ``marker`` is matplotlib's sign for it, filled with the colour ``hollow`` where there is one; the mark links to
    ``url``.
    """
    first, last = visible(axes, between)
    (bar,) = axes.plot([first, last], [y, y], color=colour, linewidth=3.0, solid_capstyle="butt")
    (point,) = axes.plot([first], [y], marker, color=colour, markerfacecolor=hollow or colour, markersize=6.0)
    for artist in (bar, point):
        artist.set_gid(tip(text))
        artist.set_clip_on(False)
        if url is not None:
            artist.set_url(url)
