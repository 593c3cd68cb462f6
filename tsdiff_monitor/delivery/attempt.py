"""The record of one attempt to deliver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Attempt", "Outcome"]

Outcome = Literal["delivered", "failed", "dead"]


@dataclass(frozen=True)
class Attempt:
    """One attempt at one delivery, for metrics. ``reason`` is empty when delivered; times are in seconds.

    ``took`` is the notifier's time, ``age`` the time since the change was committed.
    """

    notifier: str
    outcome: Outcome
    reason: str
    took: float
    age: float
