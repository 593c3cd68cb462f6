"""Detection of a new level: the scores of an event stay high, but no longer change.

The scores are watched in quarters of ``adapt_after``. Four full quarters in a row in which most rows are not calm, and
whose highest scores lie within a factor of :data:`STEADY` of each other, are a new level. From then on scores count
relative to it, until they are calm by themselves: because the next fit has learned the level, or because it is gone.
Rules: ``docs/events.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CLEAR", "STEADY", "Level"]

STEADY = 2.0
"""Largest factor between the highest scores of the quarters of a steady level."""
CLEAR = 1.5
"""A score is high again when it is above this many times the level."""
_QUARTERS = 4


@dataclass
class Level:
    """The course of a group's scores while an event is open, and after one was adapted.

    ``since`` is when the current quarter began, ``quarters`` the highest score of each full one before it and whether
    most of its rows were not calm, newest last. ``normal`` is the level that counts as normal; None: there is none yet.
    """

    since: int
    top: float = 0.0
    rows: int = 0
    busy_rows: int = 0
    quarters: list[tuple[float, bool]] = field(default_factory=list)
    normal: float | None = None
    calm_rows: int = 0
    calm_since: int | None = None

    def restart(self, time: int) -> None:
        """Forget the quarters: what comes from ``time`` on is another event."""
        self.since, self.top, self.rows, self.busy_rows, self.quarters = time, 0.0, 0, 0, []

    def move_to(self, time: int, quarter: int) -> None:
        """Close the quarters, ``quarter`` nanoseconds long, that are over at ``time``."""
        over = (time - self.since) // quarter
        for _ in range(min(over, _QUARTERS + 1)):  # the first holds the rows so far, the others none
            self.quarters = [*self.quarters, (self.top, 2 * self.busy_rows > self.rows)][-_QUARTERS:]
            self.top, self.rows, self.busy_rows = 0.0, 0, 0
        self.since += over * quarter

    def add(self, score: float, *, is_busy: bool) -> None:
        """Take a row's own score into the current quarter."""
        self.top = max(self.top, score)
        self.rows += 1
        self.busy_rows += is_busy

    @property
    def is_steady(self) -> bool:
        """True if the last four quarters are a level."""
        tops = [top for top, is_busy in self.quarters if is_busy]
        return len(tops) == _QUARTERS and max(tops) <= STEADY * min(tops)

    def settle(self) -> None:
        """From now on the level is normal."""
        self.normal = max(top for top, _ in self.quarters)
        self.calm_rows, self.calm_since = 0, None

    def lower(self) -> None:
        """Follow the scores down, but never up, once the quarters are all full."""
        tops = [top for top, _ in self.quarters if top > 0]
        if self.normal is not None and len(tops) == _QUARTERS:
            self.normal = min(self.normal, max(tops))

    def relative(self, score: float) -> float:
        """The score as it counts: as it is, or in multiples of what is clearly above the level."""
        return score if self.normal is None else score / (CLEAR * self.normal)

    def calm_for(self, time: int, *, is_calm: bool) -> tuple[int, int]:
        """Rows, and nanoseconds, for which the scores have been calm by themselves, the row at ``time`` included."""
        if not is_calm:
            self.calm_rows, self.calm_since = 0, None
            return 0, 0
        self.calm_rows += 1
        if self.calm_since is None:
            self.calm_since = time
        return self.calm_rows, time - self.calm_since

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Level:
        return cls(**{**raw, "quarters": [(top, is_busy) for top, is_busy in raw["quarters"]]})
