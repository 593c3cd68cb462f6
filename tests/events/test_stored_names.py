"""Names that are stored and sent: they outlive the names in the code."""

from __future__ import annotations

from typing import Any

from tsdiff_monitor.events.event import ABSENT, ANOMALY, Change, Event, ResolveReason, Severity
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.testing import example_event


def test_the_values_of_reasons_changes_and_severities() -> None:
    """Stores and receivers of older versions know these values; the reasons ``back`` and ``forgotten`` are two."""
    assert [reason.value for reason in ResolveReason] == ["calm", "adapted", "back", "forgotten"]
    assert [change.value for change in Change] == ["opened", "updated", "resolved"]
    assert [severity.value for severity in Severity] == ["info", "warning", "critical"]
    assert (ANOMALY, ABSENT) == ("anomaly", "absent")


def test_an_absence_keeps_its_reason() -> None:
    """An event that was stored as ``forgotten`` is read as expired, and is sent as ``forgotten``."""
    stored = example_event(kind=ABSENT, reason=ResolveReason.expired).to_json()
    assert stored["reason"] == "forgotten"
    assert Event.from_json(stored).reason is ResolveReason.expired


def test_the_keys_of_the_state() -> None:
    """The open event of a group is stored as ``incident``, and its state is read from there."""
    raw: dict[str, Any] = {
        "version": 2,
        "last": 3,
        "rise": [],
        "incident": {
            "id": "a",
            "start": 1,
            "confirmed": 2,
            "peak": {"time": 2, "score": 2.5, "shares": {"cpu": 1.0}, "explained": None, "broad": False},
            "severity": "warning",
            "reason": "adapted",
            "weights": {"cpu": 6.25},
        },
    }
    alarm = TrackerState.from_json(raw).incident
    assert alarm is not None
    assert (alarm.reason, alarm.severity, alarm.peak.shares) == (ResolveReason.adapted, Severity.warning, {"cpu": 1.0})
    assert set(TrackerState.from_json(raw).to_json()["incident"]) >= set(raw["incident"])
