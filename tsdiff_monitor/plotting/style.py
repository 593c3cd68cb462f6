"""Colours and opacities of charts by role, in two styles: for pictures on white, and for pages with themes."""

from __future__ import annotations

from dataclasses import KW_ONLY, MISSING, dataclass, fields
from typing import Final

__all__ = ["ON_PAGE", "ON_WHITE", "PLACEHOLDERS", "Style"]


@dataclass(frozen=True)
class Style:
    """Colours that matplotlib understands, and the opacity (0 to 1) of what is tinted.

    ``line`` is the axis, ``text`` its labels, ``grid`` the hairlines across; ``event``, ``false``, ``incident`` and
    ``missed`` colour marks and spans, and ``paper`` is what lies behind everything.
    """

    actual: str
    expected: str
    band: str
    score: str
    alert: str
    line: str
    grid: str
    text: str
    event: str
    false: str
    incident: str
    missed: str
    paper: str
    _: KW_ONLY
    band_tint: float = 0.3
    alert_tint: float = 0.85
    span_tint: float = 0.16


ON_WHITE: Final = Style(
    actual="#1d1c1d",
    expected="#1264a3",
    band="#1264a3",
    score="#1d1c1d",
    alert="#d1242f",
    line="#616061",
    grid="#e4e4e4",
    text="#616061",
    event="#d1242f",
    false="#8a3b8f",
    incident="#0b6e5c",
    missed="#b3380c",
    paper="#ffffff",
    band_tint=0.2,
    alert_tint=0.3,
    span_tint=0.09,
)
"""For pictures that are sent elsewhere: dark on white, in few colours."""

_ROLES = [field.name for field in fields(Style) if field.default is MISSING]

PLACEHOLDERS: Final = {role: f"#fe00{index:02x}" for index, role in enumerate(_ROLES)}
"""A colour for each role that no other chart uses; in the markup, ``actual`` becomes ``var(--chart-actual)``."""

ON_PAGE: Final = Style(*PLACEHOLDERS.values())
"""For inline SVG, whose placeholders become CSS variables of the page's theme."""
