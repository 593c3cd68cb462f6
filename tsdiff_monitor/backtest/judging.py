"""Rules by which events are judged against labelled incidents, in a replay and in a rehearsal."""

from __future__ import annotations

from typing import Final

__all__ = ["GRACE_STEPS", "TOP_CULPRITS"]

GRACE_STEPS: Final = 10
"""Steps after an incident's end in which an event still belongs to it: metrics recover more slowly than services."""

TOP_CULPRITS: Final = 3
"""A true culprit counts as named when it is among this many first culprits of an event."""
