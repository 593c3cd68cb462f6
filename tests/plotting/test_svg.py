"""Inline SVG: the page's colours, tooltips, and the same markup every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup

from tsdiff_monitor.plotting.axes import Layout, time_axis
from tsdiff_monitor.plotting.bands import outline, shade
from tsdiff_monitor.plotting.marks import mark, plot_line
from tsdiff_monitor.plotting.style import ON_PAGE
from tsdiff_monitor.plotting.svg import to_svg

LAYOUT = Layout(width=500, left=40, right=20, per_inch=72, label_size=11, label_gap=8)
DAY = (pd.Timestamp(0, tz="UTC"), pd.Timestamp(86_400, unit="s", tz="UTC"))


def draw(name: str = "chart", *, text: str = "an event") -> Markup:
    """A chart with a line, a tinted and a hatched span, and a linked mark with this tooltip."""
    figure = LAYOUT.figure(80)
    axes = LAYOUT.axes(figure, 5, 50, DAY, ON_PAGE)
    plot_line(axes, np.linspace(0, 1, 5), np.arange(5.0), ON_PAGE.actual, width=1.5)
    shade(axes, DAY, ON_PAGE.event, ON_PAGE)
    outline(axes, DAY, ON_PAGE.incident)
    mark(axes, 1.0, DAY, ON_PAGE.false, "D", text=text, hollow=ON_PAGE.paper, url="#there")
    time_axis(axes, ON_PAGE)
    return to_svg(figure, name=name, label='CPU "busy"')


def test_every_colour_is_the_page_s() -> None:
    """No placeholder is left in the markup: each became the variable of its role."""
    markup = draw()
    assert "#fe00" not in markup
    for role in ("actual", "event", "incident", "false", "paper", "grid", "text", "line"):
        assert f"var(--chart-{role})" in markup


def test_the_markup_is_an_svg_of_its_size() -> None:
    """Well formed, as large as the layout says, and named for screen readers."""
    root = ElementTree.fromstring(draw())
    assert (root.tag, root.get("viewBox"), root.get("width")) == ("svg", "0 0 500 80", "500")
    assert root.get("aria-label") == 'CPU "busy"'


def test_tooltips_are_text() -> None:
    """A mark and its bar carry the tooltip, escaped, in one line, and link where they should."""
    markup = draw(text='<b>"5"</b>\n $x$')
    titles = [title.text for title in ElementTree.fromstring(markup).iter("title")]
    assert titles == ['<b>"5"</b> $x$'] * 2
    assert markup.count('href="#there"') == 2


def test_the_same_from_several_threads() -> None:
    """The same drawing is the same markup, alone or among others, and matplotlib's settings are left as they were."""
    before = dict(mpl.rcParams)
    names = [f"chart-{index}" for index in range(4)]
    alone = [draw(name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, names)) == alone
    assert len(set(alone)) == 4
    assert dict(mpl.rcParams) == before
