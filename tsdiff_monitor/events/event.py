"""The event, as everything downstream gets it: immutable, with a JSON form that is stable across versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["ABSENT", "ANOMALY", "Change", "Culprit", "Event", "EventChange", "Member", "ResolveReason", "Severity"]


ANOMALY, ABSENT = "anomaly", "absent"
"""The kinds of events: values that are not as expected, and no values at all."""


class Severity(StrEnum):
    """Severity of an event; ordered by :attr:`rank`."""

    info = "info"
    warning = "warning"
    critical = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Change(StrEnum):
    """Kind of a change of an event."""

    opened = "opened"
    updated = "updated"
    resolved = "resolved"


class ResolveReason(StrEnum):
    """The reason why an event is over, under the value that is stored and sent.

    The scores are calm; they are steady at a new level; or, of an absent group, it has returned, or its absence has
    expired: it is taken to be gone for good.
    """

    calm = "calm"
    adapted = "adapted"
    returned = "back"
    expired = "forgotten"


@dataclass(frozen=True)
class Culprit:
    """One metric of an event: its share of the score and, at the peak, actual against expected, in ``unit``."""

    metric: str
    attribution: float
    actual: float | None
    expected: float | None
    expected_lower: float | None
    expected_upper: float | None
    unit: str = ""


@dataclass(frozen=True)
class Member:
    """One of the events that an incident of several groups is made of: its id and its group."""

    event: str
    group: Group


@dataclass(frozen=True)
class Event:
    """One incident of one group.

    ``start`` is where the score first rose, ``confirmed`` when the event opened, ``end`` the first row after the
    incident (None while it lasts), ``last`` the newest row seen. ``id`` is derived from monitor, group and start,
    so the same data always yields the same id. An event of the kind ``absent`` has no culprits and no peak.

    ``reason`` says why it ended. One that was ``adapted`` has a time ``adapted_from``: its rows from then on are the
    new normal, and are learned. ``flapping``: the newest of many in a short time, hence slow to end.

    ``explanation``: the fewest culprits that explain the peak; None where there are none, or time did not suffice.

    With ``members`` it is an incident of several groups, sent instead of their own events: ``group`` holds the labels
    that the first of them had in common, the culprits are those of the members with the highest peaks.
    """

    id: str
    monitor: str
    group: Group
    start: pd.Timestamp
    confirmed: pd.Timestamp
    last: pd.Timestamp
    end: pd.Timestamp | None
    peak: float
    peak_time: pd.Timestamp
    severity: Severity
    culprits: tuple[Culprit, ...]
    kind: str = ANOMALY
    reason: ResolveReason | None = None
    adapted_from: pd.Timestamp | None = None
    flapping: bool = False
    members: tuple[Member, ...] = ()
    explanation: Explanation | None = None

    @property
    def duration_seconds(self) -> float:
        return ((self.end or self.last) - self.start).total_seconds()

    @property
    def state(self) -> str:
        return "open" if self.end is None else "resolved"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types: times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "monitor": self.monitor,
            "group": dict(self.group),
            "group_name": group_name(self.group),
            "kind": self.kind,
            "state": self.state,
            "severity": self.severity.value,
            "start": _iso(self.start),
            "confirmed": _iso(self.confirmed),
            "last": _iso(self.last),
            "end": _iso(self.end),
            "reason": None if self.reason is None else self.reason.value,
            **({} if self.adapted_from is None else {"adapted_from": _iso(self.adapted_from)}),
            **({"flapping": True} if self.flapping else {}),
            **({"members": [_member(one) for one in self.members]} if self.members else {}),
            "duration_seconds": self.duration_seconds,
            "peak_score": self.peak,
            "peak_time": _iso(self.peak_time),
            "culprits": [
                {
                    "metric": culprit.metric,
                    "attribution": culprit.attribution,
                    "actual": culprit.actual,
                    "expected": culprit.expected,
                    "expected_lower": culprit.expected_lower,
                    "expected_upper": culprit.expected_upper,
                    **({"unit": culprit.unit} if culprit.unit else {}),
                }
                for culprit in self.culprits
            ],
            **({} if self.explanation is None else {"explanation": self.explanation.to_json()}),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Event:
        """The inverse of :meth:`to_json`."""
        end, reason, adapted_from = raw["end"], raw.get("reason"), raw.get("adapted_from")
        explanation = raw.get("explanation")
        return cls(
            id=raw["id"],
            monitor=raw["monitor"],
            group=tuple(sorted(raw["group"].items())),
            start=pd.Timestamp(raw["start"]),
            confirmed=pd.Timestamp(raw["confirmed"]),
            last=pd.Timestamp(raw["last"]),
            end=None if end is None else pd.Timestamp(end),
            peak=raw["peak_score"],
            peak_time=pd.Timestamp(raw["peak_time"]),
            severity=Severity(raw["severity"]),
            culprits=tuple(Culprit(**culprit) for culprit in raw["culprits"]),
            kind=raw.get("kind", ANOMALY),
            reason=None if reason is None else ResolveReason(reason),
            adapted_from=None if adapted_from is None else pd.Timestamp(adapted_from),
            flapping=raw.get("flapping", False),
            members=tuple(Member(one["event"], tuple(sorted(one["group"].items()))) for one in raw.get("members", ())),
            explanation=None if explanation is None else Explanation.from_json(explanation),
        )


@dataclass(frozen=True)
class EventChange:
    """One change of one event, as notifiers receive it.

    ``key`` identifies the change for ever (``<event id>/<sequence>``): delivering it twice is the same as once.
    """

    change: Change
    event: Event
    sequence: int
    details: Details = field(default_factory=Details)

    @property
    def key(self) -> str:
        return f"{self.event.id}/{self.sequence}"

    def to_json(self) -> dict[str, Any]:
        raw = {"change": self.change.value, "key": self.key, "event": self.event.to_json()}
        details = self.details.to_json()
        return {**raw, "details": details} if details else raw

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> EventChange:
        """The inverse of :meth:`to_json`."""
        sequence = int(raw["key"].rpartition("/")[2])
        details = Details.from_json(raw.get("details", {}))
        return cls(Change(raw["change"]), Event.from_json(raw["event"]), sequence, details)


def _iso(time: pd.Timestamp | None) -> str | None:
    return None if time is None else time.isoformat()


def _member(member: Member) -> dict[str, Any]:
    return {"event": member.event, "group": dict(member.group)}
