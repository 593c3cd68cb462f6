"""Matplotlib figures as inline SVG that follows the page: its fonts, and its colours in light and dark.

Charts are drawn in stand-in colours, one for each role, which become CSS variables in the markup. The page's text
(metric names and so on) stays in HTML: matplotlib would read ``$`` as mathematics and warn about rare letters.
Every mark whose ``gid`` is made by :func:`tip` carries a tooltip.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "draw", "tip"]

_ROLES = (
    "actual",
    "expected",
    "band",
    "score",
    "alert",
    "line",
    "grid",
    "text",
    "event",
    "false",
    "incident",
    "missed",
    "paper",
)

COLOURS: Final = {role: f"#fe00{index:02x}" for index, role in enumerate(_ROLES)}
"""The stand-in of each role; ``actual`` becomes ``var(--chart-actual)`` in the markup."""

_TIP = "tip:"
_UNITS_PER_INCH = 72  # matplotlib writes SVG in points: one point here is one CSS pixel at full width


def tip(text: str) -> str:
    """The ``gid`` that gives a mark this tooltip."""
    return _TIP + " ".join(text.split())


def draw(width: int, height: int, *, name: str, label: str, paint: Callable[[Figure], None]) -> Markup:
    """Let ``paint`` draw on a new figure of ``width`` by ``height`` pixels; returns its ``<svg>`` element.

    ``name`` must differ between the charts of a page, as the ids inside derive from it; ``label`` is what a screen
    reader says. The same drawing always yields the same markup.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 11.0,
        "path.simplify": True,
        "hatch.linewidth": 0.7,
        "text.color": COLOURS["text"],
        "axes.edgecolor": COLOURS["line"],
        "axes.linewidth": 0.8,
        "xtick.color": COLOURS["grid"],
        "ytick.color": COLOURS["grid"],
        "xtick.labelcolor": COLOURS["text"],
        "ytick.labelcolor": COLOURS["text"],
        "xtick.major.size": 0.0,
        "ytick.major.size": 0.0,
        "lines.solid_capstyle": "round",
        "lines.solid_joinstyle": "round",
    }
    buffer = io.StringIO()
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width / _UNITS_PER_INCH, height / _UNITS_PER_INCH))
        paint(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    body = _clean(buffer.getvalue())
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" width="{width}">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704  matplotlib escapes the texts and tooltips, escape() the label


def _clean(svg: str) -> str:
    """The inside of the ``<svg>`` element without what the page does not need: prologue, ids, fonts, digits."""
    body = svg[svg.index(">", svg.index("<svg ")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"/>', "", body)
    body = re.sub(rf'<g id="{_TIP}([^"]*)">', r"<g><title>\1</title>", body)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r"font-size: [\d.]+px; font-family: [^;\"]*; ?", "", body)
    body = re.sub(r' transform="rotate\(-?0 [^)]*\)"| target="_blank"', "", body)
    body = body.replace("xlink:href", "href").replace("<a ", '<a tabindex="-1" ')
    body = re.sub(r' d="([^"]*)"', lambda found: f' d="{_shorten(found[1])}"', body)
    body = re.sub(r'(?<= [xy])="(-?[\d.]+)"', lambda found: f'="{float(found[1]):.1f}"', body)
    for role, colour in COLOURS.items():
        body = body.replace(f": {colour}", f": var(--chart-{role})")
    return re.sub(r"\s*\n\s*", "", body)


def _shorten(path: str) -> str:
    digits = 2 if "C" in path else 1  # curves are markers of a few pixels, where a tenth shows
    numbers = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.{digits}f}".rstrip("0").rstrip("."), path)
    return " ".join(numbers.split()).replace(" L ", "L").replace("M ", "M")
