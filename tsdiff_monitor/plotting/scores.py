"""Charts of the anomaly score, on a scale that is linear up to the threshold at 1 and logarithmic above."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tsdiff_monitor.plotting.marks import plot_line
from tsdiff_monitor.plotting.style import Style
from tsdiff_monitor.plotting.thinning import thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_score"]

_HIGHEST = 1e6  # where the scale ends, so that an infinite score has a place on it
_TICKS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4, 1e5, 1e6)
_LOWEST_TOP = 1.3


def plot_score(
    axes: Axes, times: np.ndarray, score: np.ndarray, style: Style, *, bins: int, text: Callable[[float], str]
) -> None:
    """Draw ``score[T]`` at the positions ``times[T]`` with its value axis, thinned to ``bins`` points.

    NaN is a gap. ``text`` writes a tick's score.
    """
    times, score = thin(times, score, bins, np.fmax)
    drawn = _squeeze(np.clip(score, 0.0, _HIGHEST))
    top = float(np.nanmax(drawn, initial=1.0))
    axes.fill_between(times, 0, drawn, color=style.score, alpha=0.12, linewidth=0)
    plot_line(axes, times, drawn, style.score, width=1.1)
    above = np.nan_to_num(drawn) > 1
    axes.fill_between(
        times, drawn, 1, where=above, interpolate=True, color=style.alert, alpha=style.alert_tint, linewidth=0
    )
    axes.axhline(1.0, color=style.alert, linewidth=1.0, linestyle=(0, (5, 3)))
    ticks = _ticks(top)
    axes.set_yticks([_position(tick) for tick in ticks], [text(tick) for tick in ticks])
    axes.set_ylim(0, max(top, _LOWEST_TOP) * 1.06)


def _ticks(top: float) -> list[float]:
    """Zero, the threshold and as many round scores above as have room below ``top``, the highest first."""
    kept: list[float] = []
    for tick in reversed(_TICKS[2:]):
        position = _position(tick)
        if position <= top and all(abs(position - _position(other)) > 0.2 * top for other in [*kept, 1.0]):
            kept.append(tick)
    return [0.0, 1.0, *reversed(kept)]


def _position(score: float) -> float:
    return float(_squeeze(np.array(score)))


def _squeeze(score: np.ndarray) -> np.ndarray:
    """Scores on the drawn scale, whose two parts meet smoothly."""
    return np.where(score > 1, 1 + np.log(np.fmax(score, 1)), score)
