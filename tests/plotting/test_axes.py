"""Axes: labels that differ, round times in UTC, spans that can be seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from tsdiff_monitor.plotting.axes import Extent, Layout, day, days, time_axis, value_axis, visible
from tsdiff_monitor.plotting.style import ON_WHITE

START = pd.Timestamp("2024-05-01T02:00:00Z")
END = START + pd.Timedelta("1h")
LAYOUT = Layout(width=1000, left=62, right=38, per_inch=100, label_size=8, label_gap=4)


def make(extent: Extent = (START, END)) -> Axes:
    """Axes of 900 by 100 units, ten units below the edge of a figure that is 200 units high."""
    return LAYOUT.axes(LAYOUT.figure(200), 10, 100, extent, ON_WHITE)


def labels(axes: Axes) -> list[str]:
    """The labels of the value axis from the lowest up."""
    return [label.get_text() for label in axes.get_yticklabels()]


def test_axes_are_where_the_layout_says() -> None:
    """Margins and heights are in the layout's own unit."""
    box = make().get_position()
    assert (box.x0, box.x1) == pytest.approx((0.062, 0.962))
    assert (box.y0, box.y1) == pytest.approx((0.45, 0.95))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1e6, 1e6 + 1), (-3.0, 7.5), (1e-9, 2e-9)])
def test_labels_of_values_differ(low: float, high: float) -> None:
    """As many digits as it takes to tell two labels apart, and none above the scale's end."""
    axes = make()
    value_axis(axes, np.array([low, high]), lambda value, digits: f"{value:.{digits}g}", digits=1)
    assert len(set(labels(axes))) == len(labels(axes)) >= 1
    bottom, top = axes.get_ylim()
    assert bottom <= low < high <= top
    assert all(bottom <= tick <= top - 0.04 * (top - bottom) for tick in axes.get_yticks())


def test_equal_values_have_a_scale() -> None:
    """A constant metric, zero included, lies inside a scale of its own."""
    for value in (0.0, 5.0, -2e8):
        axes = make()
        value_axis(axes, np.full(3, value), lambda tick, digits: f"{tick:.{digits}g}")
        bottom, top = axes.get_ylim()
        assert bottom < value < top


def test_no_value_means_no_labels() -> None:
    """A metric without any value has an empty scale."""
    axes = make()
    value_axis(axes, np.empty(0), lambda value, digits: f"{value:.{digits}g}")
    assert labels(axes) == []
    assert axes.get_ylim() == (0, 1)


def test_times_are_round_and_in_utc() -> None:
    """An hour has a label every ten minutes, named in UTC."""
    axes = make()
    time_axis(axes, ON_WHITE)
    axes.get_figure().draw_without_rendering()  # type: ignore[union-attr]
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["02:00", "02:10", "02:20"]


def test_spans_are_clipped_and_never_too_thin() -> None:
    """What reaches beyond the axis ends there; an instant is two points wide."""
    axes = make()
    hour = pd.Timedelta("1h")
    assert visible(axes, (START - hour, END + hour)) == (day(START), day(END))
    first, last = visible(axes, (START, START))
    assert last - first == pytest.approx(1 / 24 * 2 / (9 * 72))


def test_positions_are_days_since_the_epoch() -> None:
    """Whole arrays and single times agree in every unit that pandas keeps them in."""
    times = pd.DatetimeIndex(["1970-01-02", "1970-01-02T12:00"], tz="UTC")
    assert days(times).tolist() == [1.0, 1.5]
    assert [day(time) for time in times.as_unit("s")] == [1.0, 1.5]
