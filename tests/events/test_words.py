"""Messages about new levels, flapping and incidents."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tsdiff_alerts.message.phrases import headline, who
from tsdiff_monitor.events.event import ABSENT, Change, Member, ResolveReason
from tsdiff_monitor.testing import example_change
from tsdiff_monitor.timeseries.frame import Group


def members(*groups: Group) -> tuple[Member, ...]:
    return tuple(Member(str(number), group) for number, group in enumerate(groups))


def host(name: str, **labels: str) -> Group:
    return tuple(sorted({"instance": name, **labels}.items()))


def test_an_adapted_event_is_not_back_to_normal() -> None:
    """It says what is taken for normal now."""
    said = headline(example_change(Change.resolved, reason=ResolveReason.adapted))
    assert said == "hosts: instance=web-1 has settled at a new level, which is taken for normal from now on"
    assert (
        headline(example_change(Change.resolved, reason=ResolveReason.calm))
        == "hosts: instance=web-1 is back to normal"
    )


def test_a_forgotten_group_is_not_reporting_again() -> None:
    """Its event ends, and so does the waiting for it."""
    said = headline(example_change(Change.resolved, kind=ABSENT, reason=ResolveReason.expired))
    assert said == "hosts: instance=web-1 has not reported for so long that it is taken to be gone for good"
    back = headline(example_change(Change.resolved, kind=ABSENT, reason=ResolveReason.returned))
    assert back == "hosts: instance=web-1 is reporting again"


def test_flapping_is_said() -> None:
    """While it is open: its metrics may look fine just now."""
    said = headline(example_change(Change.updated, flapping=True))
    assert said == "hosts: instance=web-1 keeps coming back to abnormal behaviour"
    assert headline(example_change(Change.resolved, flapping=True)).endswith("is back to normal")


@pytest.mark.parametrize(
    ("groups", "common", "said"),
    [
        (
            [host(name) for name in "abcdefghijkl"],
            (),
            "12 groups of hosts are behaving abnormally (instance=a, b, c and 9 more)",
        ),
        (
            [host("a", zone="eu"), host("b", zone="eu")],
            (("zone", "eu"),),
            "2 groups of hosts with zone=eu are behaving abnormally (instance=a, b)",
        ),
        (
            [host("a", zone="eu"), host("b", zone="us")],
            (),
            "2 groups of hosts are behaving abnormally (instance=a,zone=eu; instance=b,zone=us)",
        ),
    ],
)
def test_an_incident_names_some_of_its_groups(groups: list[Group], common: Group, said: str) -> None:
    """Their number, what they have in common, and the first few."""
    assert headline(example_change(group=common, members=members(*groups))) == said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": ResolveReason.adapted}, "have settled at a new level, which is taken for normal from now on"),
        ({"kind": ABSENT, "reason": ResolveReason.returned}, "are reporting again"),
        (
            {"kind": ABSENT, "reason": ResolveReason.expired},
            "have not reported for so long that they are taken to be gone for good",
        ),
    ],
)
def test_many_are_spoken_of_as_many(fields: Any, said: str) -> None:
    """Also of their end."""
    both = members(host("a"), host("b"))
    change = example_change(Change.resolved, group=(), members=both, end=pd.Timestamp("2024-05-01T03:30Z"), **fields)
    assert headline(change) == f"2 groups of hosts {said} (instance=a, b)"


def test_names_cannot_flood_or_forge_a_message() -> None:
    """Labels of any length, with any characters, are shown."""
    groups = members(*(host(f"{n}\n\x1b[2J" + "x" * 500) for n in range(5)))
    change = example_change(group=(), members=groups)
    assert len(headline(change)) < 200
    assert headline(change).isprintable() and who(change.event) == "5 groups of hosts"
