"""Charts: scores and values of any size are drawn, and the scale holds what matters."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from tsdiff_monitor.plotting.axes import Layout
from tsdiff_monitor.plotting.bands import Band, plot_values
from tsdiff_monitor.plotting.fonts import fit, width
from tsdiff_monitor.plotting.marks import plot_line
from tsdiff_monitor.plotting.png import to_png
from tsdiff_monitor.plotting.scores import plot_score
from tsdiff_monitor.plotting.style import ON_WHITE

LAYOUT = Layout(width=400, left=40, right=10, per_inch=100, label_size=8, label_gap=4)


@pytest.fixture
def axes() -> Axes:
    """Axes over a day from the epoch on."""
    day = (pd.Timestamp(0, tz="UTC"), pd.Timestamp(86_400, unit="s", tz="UTC"))
    return LAYOUT.axes(LAYOUT.figure(100), 10, 60, day, ON_WHITE)


def score_labels(axes: Axes, *scores: float) -> list[str]:
    """The labels of the score's axis after these rows."""
    plot_score(
        axes, np.linspace(0, 1, len(scores)), np.array(scores), ON_WHITE, bins=300, text=lambda tick: f"{tick:g}"
    )
    return [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.2, 0.4), ["0", "1"]),
        ((0.2, 8.4), ["0", "1", "2", "5"]),
        ((0.2, np.nan, np.inf), ["0", "1", "100", "10000", "1e+06"]),
        ((np.nan, np.nan), ["0", "1"]),
    ],
)
def test_the_threshold_is_always_labelled(axes: Axes, scores: tuple[float, ...], expected: list[str]) -> None:
    """Zero and one, then round scores as far as they go and have room; an infinite score is at the end."""
    assert score_labels(axes, *scores) == expected
    assert axes.get_ylim()[1] >= 1.3


def test_lonely_values_are_dots(axes: Axes) -> None:
    """A value between two gaps would be no line at all."""
    plot_line(axes, np.arange(4.0), np.array([1.0, np.nan, 3.0, np.nan]), ON_WHITE.actual, width=1.0)
    line, dots = axes.get_lines()
    assert np.isnan(line.get_ydata()).sum() == 2
    assert list(dots.get_ydata()) == [1.0, 3.0]


def test_a_band_s_few_widest_rows_do_not_set_the_scale(axes: Axes) -> None:
    """One absurd row among a hundred would flatten the others; actual values are always inside."""
    times, middle = np.linspace(0, 1, 200), np.full(200, 5.0)
    upper = np.full(200, 6.0)
    upper[100] = 1e6
    actual = middle.copy()
    actual[7] = 40.0
    shown = plot_values(axes, times, actual, Band(times, middle, middle - 1, upper), ON_WHITE)
    assert (shown.min(), shown.max()) == pytest.approx((4.0, 40.0))


def test_values_beyond_what_can_be_drawn(axes: Axes) -> None:
    """Infinite and huge values of any precision end at the largest that matplotlib can place, without a warning."""
    values = np.array([1.0, np.inf, -1e38, np.nan], dtype=np.float32)
    shown = plot_values(axes, np.arange(4.0), values, None, ON_WHITE)
    assert shown.max() == 1e100
    assert to_png(LAYOUT.figure(10), dots_per_inch=10, paper="white").startswith(b"\x89PNG")


def test_text_that_fits() -> None:
    """A name is cut to its room with an ellipsis; signs that the font lacks become question marks."""
    assert fit("cpu", 5.0, 9) == "cpu"
    short = fit("memory_working_set_bytes", 1.0, 9)
    assert short.endswith("…") and width(short, 9) <= 1.0
    assert fit("電力", 5.0, 9) == "??"


def test_matplotlib_is_loaded_by_the_first_chart() -> None:
    """Importing the package costs no start-up time of a process that never draws."""
    modules = ", ".join(
        f"tsdiff_monitor.plotting.{name}" for name in ("axes", "bands", "fonts", "png", "scores", "svg")
    )
    code = f"import {modules}, sys; assert not any(name.startswith('matplotlib') for name in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
