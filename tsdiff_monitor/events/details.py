"""Details of a message beside the event itself: the course of its culprits, links, and the monitor's recent alarm
rate. All of it is worked out when the change is made, while the data is at hand, and kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

__all__ = ["Course", "Details", "Snapshot"]

Values = tuple[float | None, ...]
"""One value per row; None where there is none."""


@dataclass(frozen=True)
class Course:
    """One metric around an event: its actual values, and the expected ones given the other metrics."""

    metric: str
    actual: Values
    expected: Values
    lower: Values
    upper: Values


@dataclass(frozen=True)
class Snapshot:
    """The rows ``start, start + step, ...`` up to a change: the anomaly score and the culprits' courses."""

    start: pd.Timestamp
    step: pd.Timedelta
    score: Values
    courses: tuple[Course, ...]

    @property
    def times(self) -> pd.DatetimeIndex:
        """The rows' times."""
        return pd.date_range(self.start, periods=len(self.score), freq=self.step)


@dataclass(frozen=True)
class Details:
    """Everything optional about a change.

    ``links``: name to address; events a week: allowed, and seen of late; ``mark``: the label of a test or
    rehearsal event (``test``, ``synthetic``).
    """

    snapshot: Snapshot | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    allowed_per_week: float | None = None
    seen_per_week: float | None = None
    mark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; what is not known is left out."""
        raw: dict[str, Any] = {}
        if self.snapshot is not None:
            raw["snapshot"] = {
                "start": self.snapshot.start.isoformat(),
                "step_seconds": self.snapshot.step.total_seconds(),
                "score": list(self.snapshot.score),
                "courses": [
                    {
                        "metric": course.metric,
                        "actual": list(course.actual),
                        "expected": list(course.expected),
                        "lower": list(course.lower),
                        "upper": list(course.upper),
                    }
                    for course in self.snapshot.courses
                ],
            }
        if self.links:
            raw["links"] = dict(self.links)
        if self.allowed_per_week is not None:
            raw["allowed_per_week"] = self.allowed_per_week
        if self.seen_per_week is not None:
            raw["seen_per_week"] = self.seen_per_week
        if self.mark:
            raw["mark"] = self.mark
        return raw

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Details:
        """The inverse of :meth:`to_json`."""
        picture, snapshot = raw.get("snapshot"), None
        if picture is not None:
            courses = tuple(
                Course(course["metric"], *(tuple(course[part]) for part in ("actual", "expected", "lower", "upper")))
                for course in picture["courses"]
            )
            step = pd.Timedelta(seconds=picture["step_seconds"])
            snapshot = Snapshot(pd.Timestamp(picture["start"]), step, tuple(picture["score"]), courses)
        return cls(
            snapshot, raw.get("links", {}), raw.get("allowed_per_week"), raw.get("seen_per_week"), raw.get("mark", "")
        )
