"""The verdict of a person about an event."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Feedback"]


@dataclass(frozen=True)
class Feedback:
    """A person's verdict about an event: ``real``, ``false`` or ``expected``. ``given`` is in Unix seconds."""

    verdict: str
    note: str
    given: float

    @property
    def is_incident(self) -> bool:
        """True if the event's rows are no example of normal behaviour."""
        return self.verdict == "real"
