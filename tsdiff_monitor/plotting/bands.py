"""Areas of charts: a metric's values in front of what was expected, and spans of time tinted or hatched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsdiff_monitor.plotting.axes import Extent, visible
from tsdiff_monitor.plotting.marks import EXPECTED_DASHES, plot_line
from tsdiff_monitor.plotting.style import Style
from tsdiff_monitor.plotting.thinning import thin, thin_extremes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Band", "outline", "plot_values", "shade"]

_BINS = 150
"""A metric is drawn with twice as many points at most."""
_HIGHEST = 1e100  # beyond it matplotlib's own arithmetic overflows
_CORE = (0.02, 0.98)


@dataclass(frozen=True, eq=False)
class Band:
    """An expectation: positions ``times[T]``, its ``middle[T]`` and its limits ``lower[T]`` and ``upper[T]``.

    NaN where there is none.
    """

    times: np.ndarray
    middle: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def plot_values(axes: Axes, times: np.ndarray, values: np.ndarray, band: Band | None, style: Style) -> np.ndarray:
    """Draw ``values[T]`` at the positions ``times[T]`` in front of ``band``; returns those that the scale must hold.

    They are finite, and empty where nothing is. Gaps stay gaps; values too large to draw are drawn at the edge of
    what can be.
    """
    values = _bounded(values)
    shown = [values[np.isfinite(values)]]
    if band is not None:
        shown += _plot_band(axes, band, style)
    plot_line(axes, *thin_extremes(times, values, _BINS), style.actual, width=1.5)
    return np.concatenate(shown)


def _plot_band(axes: Axes, band: Band, style: Style) -> list[np.ndarray]:
    middle, lower, upper = (_bounded(part) for part in (band.middle, band.lower, band.upper))
    at, low = thin(band.times, lower, 2 * _BINS, np.fmin)
    _, high = thin(band.times, upper, 2 * _BINS, np.fmax)
    axes.fill_between(at, low, high, color=style.band, alpha=style.band_tint, linewidth=0)
    plot_line(axes, *thin_extremes(band.times, middle, _BINS), style.expected, width=1.2, dashes=EXPECTED_DASHES)
    return [middle[np.isfinite(middle)], _core(lower), _core(upper)]


def _bounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(values, dtype=np.float64), -_HIGHEST, _HIGHEST)


def _core(values: np.ndarray) -> np.ndarray:
    """A band's limits without its few widest rows, which would flatten everything else on the scale."""
    finite = values[np.isfinite(values)]
    return np.asarray(np.quantile(finite, _CORE)) if finite.size else finite


def shade(axes: Axes, between: Extent, colour: str, style: Style) -> None:
    """Tint a span of time."""
    first, last = visible(axes, between)
    axes.axvspan(first, last, color=colour, alpha=style.span_tint, linewidth=0)


def outline(axes: Axes, between: Extent, colour: str) -> None:
    """Hatch a span of time between dotted edges, so that a tint shows through."""
    first, last = visible(axes, between)
    axes.axvspan(first, last, facecolor="none", edgecolor=colour, hatch="//", linewidth=0, alpha=0.3)
    for edge in (first, last):
        axes.axvline(edge, color=colour, linewidth=1.1, linestyle=(0, (1.5, 2)))
