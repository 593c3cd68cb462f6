"""Figures as PNG pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["to_png"]


def to_png(figure: Figure, *, dots_per_inch: int, paper: str) -> bytes:
    """The figure on a background of the colour ``paper``; the same drawing always yields the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=dots_per_inch,
        facecolor=paper,
        metadata={"Software": None},
        pil_kwargs={"optimize": True},
    )
    return buffer.getvalue()
