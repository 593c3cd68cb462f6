"""Figures as inline SVG that follows the page: its fonts, and its colours in light and dark.

Charts in the style ``ON_PAGE`` are drawn in placeholder colours, which become CSS variables in the markup. The page's
text (metric names and so on) stays in HTML: matplotlib would read ``$`` as mathematics and warn about rare letters.
Every mark whose ``gid`` is made by :func:`~tsdiff_monitor.plotting.marks.tip` carries a tooltip.
"""

from __future__ import annotations

import io
import re
import threading
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tsdiff_monitor.plotting.marks import TIP
from tsdiff_monitor.plotting.style import PLACEHOLDERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["to_svg"]

_POINTS_PER_INCH = 72  # matplotlib writes SVG in points: one point here is one CSS pixel at full width
_SETTINGS = threading.Lock()
"""Held while matplotlib's settings, which all threads share, differ for one figure's sake."""


def to_svg(figure: Figure, *, name: str, label: str) -> Markup:
    """The figure as an ``<svg>`` element.

    ``name`` must differ between the charts of a page, as the ids inside derive from it; ``label`` is what a screen
    reader says. The same drawing always yields the same markup.
    """
    import matplotlib

    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True}
    buffer = io.StringIO()
    with _SETTINGS, matplotlib.rc_context(style):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    width, height = (round(inches * _POINTS_PER_INCH) for inches in figure.get_size_inches())
    head = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" width="{width}">'
    body = _clean(buffer.getvalue())
    return Markup(f"{head}{body}</svg>")  # noqa: S704  matplotlib escapes the texts and tooltips, escape() the label


def _clean(markup: str) -> str:
    """The inside of the ``<svg>`` element without what the page does not need: prologue, ids, fonts, digits."""
    body = markup[markup.index(">", markup.index("<svg ")) + 1 : markup.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"/>', "", body)
    body = re.sub(rf"<g id=(['\"]){TIP}(.*?)\1>", r"<g><title>\2</title>", body)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r"font-size: [\d.]+px; font-family: [^;\"]*; ?", "", body)
    body = re.sub(r' transform="rotate\(-?0 [^)]*\)"| target="_blank"', "", body)
    body = body.replace("xlink:href", "href").replace("<a ", '<a tabindex="-1" ')
    body = re.sub(r' d="([^"]*)"', lambda found: f' d="{_shorten(found[1])}"', body)
    body = re.sub(r'(?<= [xy])="(-?[\d.]+)"', lambda found: f'="{float(found[1]):.1f}"', body)
    for role, placeholder in PLACEHOLDERS.items():
        body = body.replace(f": {placeholder}", f": var(--chart-{role})")
    return re.sub(r"\s*\n\s*", "", body)


def _shorten(path: str) -> str:
    digits = 2 if "C" in path else 1  # curves are markers of a few pixels, where a tenth shows
    numbers = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.{digits}f}".rstrip("0").rstrip("."), path)
    return " ".join(numbers.split()).replace(" L ", "L").replace("M ", "M")
