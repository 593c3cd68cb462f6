"""The state of the event logic for one group between two runs: small, and plain JSON.

An idle group's state is about forty numbers: the newest time, the level of its scores in the last hours, and for a
while the ends of its last events. A rise that is not confirmed yet adds at most ``max(trace_back_rows, confirm_rows)``
rows of :data:`KEPT_METRICS` attributions; an open event adds at most 2 x :data:`KEPT_WEIGHTS` sums. Times are int64
nanoseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import ResolveReason, Severity
from tsdiff_monitor.events.level_shift import Level
from tsdiff_monitor.scoring.drift import Drift

__all__ = ["KEPT_METRICS", "KEPT_WEIGHTS", "Explained", "OpenAlarm", "Row", "TrackerState"]

KEPT_METRICS = 12
"""Attributions kept per row; also the metrics explained at the peak."""
KEPT_WEIGHTS = 64
"""Metrics whose attribution is summed over an event; twice as many are let grow before the smallest are dropped."""
_VERSION = 2
_READ = (1, 2)  # version 1 had no level, ends, breadth or flapping

Explained = dict[str, tuple[float | None, float | None, float | None, float | None]]
"""Per metric: actual, expected, lower and upper bound; None where there is no finite number."""


@dataclass
class Row:
    """One scored row. ``shares`` holds its largest attributions, and is empty for a row that is not rising.

    ``broad``: many metrics are to blame for it.
    """

    time: int
    score: float | None
    shares: dict[str, float] = field(default_factory=dict)
    explained: Explained | None = None
    broad: bool = False

    @property
    def names(self) -> list[str]:
        """The kept metrics, largest attribution first, ties by name."""
        return largest(self.shares, KEPT_METRICS)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Row:
        explained = raw["explained"]
        if explained is not None:
            explained = {name: (a, e, low, high) for name, (a, e, low, high) in explained.items()}
        return cls(raw["time"], raw["score"], dict(raw["shares"]), explained, raw.get("broad", False))


@dataclass
class OpenAlarm:
    """The event in the making: open while ``end`` is None, afterwards kept until its cool-down is over.

    ``rows`` counts all rows since the start, ``reported`` is the row of the newest change.
    """

    id: str
    start: int
    confirmed: int
    peak: Row
    end: int | None = None
    rows: int = 0
    severity: Severity = Severity.info
    weight: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    sequence: int = 0
    reported: int = 0
    calm_rows: int = 0
    calm_since: int | None = None
    flapping: bool = False
    reason: ResolveReason | None = None
    adapted_from: int | None = None

    def add(self, row: Row) -> None:
        """Take a rising row into the peak and, weighted by the square of its score, into the attribution.

        Evidence is squared residuals: a row weighs in its event as much as it has evidence.
        """
        assert row.score is not None and self.peak.score is not None
        if row.score > self.peak.score:
            self.peak = row
        weight = row.score**2
        self.weight += weight  # a row's attributions sum to 1, those that were not kept included
        for name, attribution in row.shares.items():
            self.weights[name] = self.weights.get(name, 0.0) + weight * attribution
        if len(self.weights) > 2 * KEPT_WEIGHTS:
            self.weights = {name: self.weights[name] for name in largest(self.weights, KEPT_WEIGHTS)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> OpenAlarm:
        reason = raw.get("reason")
        parts = {
            "peak": Row.from_json(raw["peak"]),
            "severity": Severity(raw["severity"]),
            "reason": None if reason is None else ResolveReason(reason),
        }
        return cls(**{**raw, **parts, "weights": dict(raw["weights"])})


@dataclass
class TrackerState:
    """Everything that :class:`~tsdiff_monitor.events.tracker.EventTracker` knows; empty for a new group.

    ``last`` is the newest row seen, ``rise`` the rows that a confirmation may still trace back to, ``ends`` the newest
    ends of events, oldest first, ``level`` what is watched while an event is open and after one was adapted, ``drift``
    how the scores outside of events have moved since the fit.
    """

    last: int | None = None
    rise: list[Row] = field(default_factory=list)
    incident: OpenAlarm | None = None
    ends: list[int] = field(default_factory=list)
    level: Level | None = None
    drift: Drift | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, floats at full precision: :meth:`from_json` restores an equal state."""
        raw = {"version": _VERSION, **asdict(self)}
        return {name: value for name, value in raw.items() if name not in ("ends", "level", "drift") or value}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any] | None) -> TrackerState:
        """The inverse of :meth:`to_json`; None gives an empty state. Raises ``StoreError`` for another version."""
        if raw is None:
            return cls()
        if raw.get("version") not in _READ:
            raise StoreError(
                f"the stored event state has version {raw.get('version')!r} and this program reads {_VERSION}; "
                "run the version that wrote it, or start with an empty settings.storage_path"
            )
        incident, level, drift = raw["incident"], raw.get("level"), raw.get("drift")
        return cls(
            last=raw["last"],
            rise=[Row.from_json(row) for row in raw["rise"]],
            incident=None if incident is None else OpenAlarm.from_json(incident),
            ends=list(raw.get("ends", ())),
            level=None if level is None else Level.from_json(level),
            drift=None if drift is None else Drift.from_json(drift),
        )


def largest(values: Mapping[str, float], count: int) -> list[str]:
    """The names of the ``count`` largest values, largest first, ties by name."""
    return sorted(values, key=lambda name: (-values[name], name))[:count]
