"""The verdict of a person about an event."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Feedback"]


@dataclass(frozen=True)
class Feedback:
    """What somebody said about an event: ``real``, ``false`` or ``expected``. ``given`` is in Unix seconds."""

    verdict: str
    note: str
    given: float

    @property
    def is_incident(self) -> bool:
        """Whether its rows are no example of how things usually are."""
        return self.verdict == "real"
