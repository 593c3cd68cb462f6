"""Text in pictures: the font that matplotlib brings along, what it can show, and how wide that is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["fit", "font", "width"]

_SCALE = 200  # dots per inch at which widths are measured
_LONGEST, _SHORTEST = 120, 8


def font(size: float, color: str, *, bold: bool = False) -> dict[str, Any]:
    """Text properties in the font that matplotlib brings along: no search, the same on every machine."""
    from matplotlib.font_manager import FontProperties

    return {"fontproperties": FontProperties(fname=_font_file(bold=bold), size=size), "color": color}


@cache
def _font_file(*, bold: bool = False) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@cache
def _known() -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(_font_file(bold=True)).get_charmap())


def _drawable(text: str) -> str:
    """``text`` with a question mark for each sign that the font lacks."""
    return "".join(sign if ord(sign) in _known() else "?" for sign in text)


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Inches that ``text`` takes."""
    from matplotlib.font_manager import get_font

    face = get_font(_font_file(bold=bold))
    face.set_size(size, _SCALE)
    face.set_text(text)
    return float(face.get_width_height()[0]) / 64 / _SCALE


def fit(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """As much of the one line ``text`` as ``room`` inches take, but a few letters at least; an ellipsis marks a cut."""
    whole = _drawable(text)
    text = _cut(whole, _LONGEST)
    while len(text) > _SHORTEST and width(text, size, bold=bold) > room:
        text = _cut(whole, len(text) - 1)
    return text


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
