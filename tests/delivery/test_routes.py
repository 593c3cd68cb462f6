"""Routes notify the right people at the right hours, and no one is left with an alarm that never ends."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tsdiff_monitor.delivery.recipients import Recipients
from tsdiff_monitor.delivery.routes import Route, routed
from tsdiff_monitor.events.event import Change, EventChange, Severity
from tsdiff_monitor.testing import example_change

NOON = pd.Timestamp("2024-05-01T12:00:00Z")  # a Wednesday


def route(*notifiers: str, **conditions: Any) -> Route:
    """A route to ``notifiers`` (``slack`` when none is named)."""
    return Route.model_validate({"notifiers": notifiers or ("slack",), **conditions})


def opens(conditions: dict[str, Any], at: str | pd.Timestamp = NOON, **event: Any) -> bool:
    """True if a route with these conditions sends an opening."""
    return routed([route(**conditions)], example_change(**event), pd.Timestamp(at)) == ("slack",)


@pytest.mark.parametrize(
    ("conditions", "sent"),
    [
        ({}, True),
        ({"monitors": ["hosts"]}, True),
        ({"monitors": ["web-*", "ho*"]}, True),
        ({"monitors": ["web-*"]}, False),
        ({"monitors": ["Hosts"]}, False),
        ({"monitors": ["!host*"]}, False),
        ({"monitors": ["!web-*"]}, True),
        ({"monitors": ["h*", "!hosts"]}, False),
        ({"labels": {"instance": "web-1"}}, True),
        ({"labels": {"instance": "web-[12]"}}, True),
        ({"labels": {"instance": "!web-1"}}, False),
        ({"labels": {"instance": "!"}}, True),
        ({"labels": {"instance": ""}}, False),
        ({"labels": {"zone": "eu"}}, False),
        ({"labels": {"zone": "!eu"}}, True),
        ({"labels": {"zone": ""}}, True),
        ({"labels": {"zone": "!"}}, False),
        ({"labels": {"instance": "web-*", "zone": "eu"}}, False),
        ({"min_severity": "warning"}, True),
        ({"min_severity": "critical"}, False),
    ],
)
def test_conditions(conditions: dict[str, Any], sent: bool) -> None:
    """All conditions must be met: names and patterns, of monitors and of labels, and the severity."""
    assert opens(conditions, severity=Severity.warning) is sent


@pytest.mark.parametrize(
    ("conditions", "at", "sent"),
    [
        ({"hours": "08:00-18:00"}, "2024-05-01T08:00:00Z", True),
        ({"hours": "08:00-18:00"}, "2024-05-01T07:59:59Z", False),
        ({"hours": "08:00-18:00"}, "2024-05-01T18:00:00Z", False),
        ({"hours": "18:00-08:00"}, "2024-05-01T18:00:00Z", True),
        ({"hours": "18:00-08:00"}, "2024-05-01T07:59:00Z", True),
        ({"hours": "18:00-08:00"}, "2024-05-01T12:00:00Z", False),
        ({"hours": "18:00-24:00"}, "2024-05-01T23:59:59Z", True),
        ({"hours": "18:00-24:00"}, "2024-05-01T00:00:00Z", False),
        ({"weekdays": ["wed"]}, "2024-05-01T00:00:00Z", True),
        ({"weekdays": ["thu"]}, "2024-05-01T23:59:59Z", False),
        # The night of Friday goes on on Saturday morning; that of Sunday ends on Monday.
        ({"hours": "22:00-06:00", "weekdays": ["fri"]}, "2024-05-04T05:00:00Z", True),
        ({"hours": "22:00-06:00", "weekdays": ["fri"]}, "2024-05-03T05:00:00Z", False),
        ({"hours": "22:00-06:00", "weekdays": ["mon"]}, "2024-05-06T05:00:00Z", False),
        ({"hours": "08:00-18:00", "tz": "Europe/Berlin"}, "2024-05-01T06:00:00Z", True),
        ({"hours": "08:00-18:00", "tz": "Europe/Berlin"}, "2024-01-03T06:00:00Z", False),
        ({"weekdays": ["thu"], "tz": "Asia/Tokyo"}, "2024-05-01T15:00:00Z", True),
    ],
)
def test_times_of_day(conditions: dict[str, Any], at: str, sent: bool) -> None:
    """Hours include their begin and not their end, may pass midnight, and follow the zone's summer time."""
    assert opens(conditions, at) is sent


ROUTES = [
    route("slack"),
    route("pager", min_severity="critical", updates=False),
    route("office", hours="08:00-18:00"),
    route("night", "slack", hours="18:00-08:00"),
]


def life(*changes: tuple[Change, Severity, str]) -> list[tuple[str, ...]]:
    """The recipients of each of an event's changes; each is its kind, the severity by then, and the time."""
    sent: set[str] = set()
    found = []
    for sequence, (change, severity, at) in enumerate(changes):
        event = example_change(change, sequence, severity=severity)
        found.append(routed(ROUTES, event, pd.Timestamp(f"2024-05-01T{at}:00Z"), sent))
        sent.update(found[-1])
    return found


def test_a_rise_counts_as_an_opening() -> None:
    """Those who care for critical events only are notified when it becomes critical, once, and of its end."""
    assert life(
        (Change.opened, Severity.warning, "12:00"),
        (Change.updated, Severity.critical, "12:10"),
        (Change.updated, Severity.critical, "12:40"),
        (Change.resolved, Severity.critical, "12:50"),
    ) == [("slack", "office"), ("slack", "pager", "office"), ("slack", "office"), ("slack", "pager", "office")]


def test_the_end_is_sent_at_any_hour() -> None:
    """Recipients notified by day get the end by night; those not notified by then do not."""
    assert life(
        (Change.opened, Severity.info, "17:50"),
        (Change.updated, Severity.info, "18:20"),
        (Change.resolved, Severity.info, "18:30"),
    ) == [("slack", "office"), ("slack", "night"), ("slack", "office", "night")]
    assert life((Change.opened, Severity.info, "07:00"), (Change.resolved, Severity.info, "09:00")) == [
        ("slack", "night"),
        ("slack", "night"),
    ]


def test_changed_routes_do_not_break_the_promise() -> None:
    """A notifier whose route was removed while the event lasted is still notified of its end."""
    end = example_change(Change.resolved, 1)
    assert routed([route("slack")], end, NOON, ["old", "slack"]) == ("slack", "old")
    assert routed([], end, NOON, ["old"]) == ("old",)
    assert routed([route("slack")], end, NOON) == ()


def test_an_event_that_opens_again_is_new() -> None:
    """After its end an event that continues is sent like an opening, also to those who want no updates."""
    kinds = (Change.opened, Change.updated, Change.resolved, Change.updated, Change.resolved)
    changes = [example_change(change, i) for i, change in enumerate(kinds)]
    chosen = Recipients(routes=[route("pager", updates=False)])
    names = list(chosen.of_all(changes, {}).values())
    assert names == [("pager",), (), ("pager",), ("pager",), ("pager",)]
    assert list(chosen.of_all(changes[1:3], {changes[0].event.id: ["pager"]}).values()) == names[1:3]


HOURS = st.sampled_from([None, "08:00-18:00", "18:00-08:00", "00:00-12:00"])
CONDITIONS = st.fixed_dictionaries(
    {
        "notifiers": st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
        "min_severity": st.sampled_from(Severity),
        "hours": HOURS,
        "weekdays": st.lists(st.sampled_from(["mon", "wed", "sun"]), min_size=1),
        "updates": st.booleans(),
        "labels": st.sampled_from([{}, {"instance": "web-1"}, {"instance": "!web-1"}]),
    }
)
COURSES = st.lists(st.tuples(st.sampled_from(Severity), st.integers(0, 10_000)), min_size=1, max_size=6)


@settings(deadline=None, max_examples=50)
@given(st.lists(CONDITIONS, max_size=5), COURSES)
def test_notified_of_the_end_is_who_was_notified_of_the_event(conditions: list[dict[str, Any]], course: Any) -> None:
    """For any routes and any course of an event: the end goes to those, and only those, who heard of it; once each."""
    routes = [Route.model_validate(one) for one in conditions]
    sent: set[str] = set()
    at = NOON
    for sequence, (severity, minutes) in enumerate(course):
        change = Change.updated if sequence else Change.opened
        at += pd.Timedelta(minutes=minutes)
        names = routed(routes, example_change(change, sequence, severity=severity), at, sent)
        assert len(names) == len(set(names))
        sent.update(names)
    end: EventChange = example_change(Change.resolved, len(course))
    names = routed(routes, end, at + pd.Timedelta("5h"), sent)
    assert sorted(names) == sorted(sent)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"notifiers": []}, "at least 1"),
        ({"notifiers": ["a", "a"]}, "more than once"),
        ({"hours": "8-18"}, "two times of day"),
        ({"hours": "08:00-25:00"}, "two times of day"),
        ({"hours": "08:00-08:00"}, "leave it out for the whole day"),
        ({"hours": "00:00-24:00"}, "leave it out for the whole day"),
        ({"weekdays": []}, "at least 1"),
        ({"weekdays": ["monday"]}, "Input should be 'mon'"),
        ({"tz": "Berlin"}, "is not a known time zone"),
        ({"min_severity": "fatal"}, "Input should be 'info'"),
        ({"changes": ["opened"]}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration(wrong: dict[str, Any], said: str) -> None:
    """Each mistake is refused in words that name the remedy."""
    with pytest.raises(ValidationError, match=said):
        route(**wrong)


def test_a_route_can_be_written_down_again() -> None:
    """A route as the API shows it can be read as one."""
    first = route("a", hours="18:00-24:00", weekdays=["sat", "sun"], labels={"zone": "!eu"}, tz="Europe/Berlin")
    assert Route.model_validate(first.model_dump(mode="json")) == first
