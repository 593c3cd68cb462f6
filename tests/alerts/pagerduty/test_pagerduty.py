"""PagerDuty gets valid events, one incident for each event's life; refusals are distinguished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.alerts.pagerduty.pagerduty_server import KEY, PagerDuty
from tsdiff_alerts.pagerduty import PagerDutyNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import Change, Culprit, Severity
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, HttpNotifierConformance, example_change, example_details


def notifier(handler: Any, **config: Any) -> PagerDutyNotifier:
    """A notifier whose network is ``handler``."""
    context = Context(name="pager", now=FakeClock(), transport=httpx.MockTransport(handler))
    return PagerDutyNotifier(PagerDutyNotifier.Config.model_validate({"routing_key": KEY, **config}), context)


class TestPagerDuty(HttpNotifierConformance):
    """The promises of every notifier that speaks HTTP, against the stand-in. Repetitions go to the same incident."""

    secrets = (KEY,)

    def make(self, context: Context) -> PagerDutyNotifier:
        return PagerDutyNotifier(PagerDutyNotifier.Config.model_validate({"routing_key": KEY}), context)

    def success(self, request: httpx.Request) -> httpx.Response:
        return PagerDuty()(request)


def test_the_payload_of_a_trigger() -> None:
    """A trigger is the documented event: what, where, how bad, the details, the links."""
    service = PagerDuty()
    notifier(service).notify(example_change(details=example_details()))
    ((event,),) = service.open.values()
    dashboard = example_details().links["dashboard"]
    assert event == {
        "routing_key": KEY,
        "dedup_key": "0123456789abcdef",
        "event_action": "trigger",
        "payload": {
            "summary": "hosts: instance=web-1 is behaving abnormally: cpu 93.1, expected 41.2–55; "
            "requests 41.2k, expected 15.5k–20.1k; memory 0.0125, expected 0.0102–0.0119; and 1 more",
            "source": "instance=web-1",
            "severity": "critical",
            "timestamp": "2024-05-01T03:12:00+00:00",
            "component": "cpu",
            "group": "hosts",
            "class": "abnormal metrics",
            "custom_details": {
                "event": "0123456789abcdef",
                "monitor": "hosts",
                "group": {"instance": "web-1"},
                "when": "since 2024-05-01 03:05 UTC, 7 min so far",
                "how sure": "very sure (peak score 4.21; alarms start at 1)",
                "peak score": 4.21,
                "what departed most": [
                    "cpu: 93.1, expected 41.2–55 (62 %)",
                    "requests: 41.2k, expected 15.5k–20.1k (21 %)",
                    "memory: 0.0125, expected 0.0102–0.0119 (12 %)",
                    "and 1 more",
                ],
                "alarms": "This monitor lately: 0.7 alarms a week not marked as real, 1 allowed",
            },
        },
        "links": [{"href": dashboard, "text": "Dashboard"}],
        "client": "tsdiff-monitor",
        "client_url": dashboard,
    }


def test_one_incident_per_event() -> None:
    """Opening, update and repetitions are one incident; the resolution closes it, also when it comes twice."""
    service = PagerDuty()
    target = notifier(service)
    for change, sequence in ((Change.opened, 0), (Change.opened, 0), (Change.updated, 1)):
        target.notify(example_change(change, sequence))
    assert [len(events) for events in service.open.values()] == [3]
    for _ in range(2):
        target.notify(example_change(Change.resolved, 2))
    assert (service.open, service.closed) == ({}, ["0123456789abcdef"])


def test_limits_are_kept() -> None:
    """Very long ids, names and many links stay within PagerDuty's limits; the message survives its details."""
    service = PagerDuty()
    links = {f"link {i}": "https://wiki.example/" + "x" * 2000 for i in range(400)}
    change = example_change(
        id="i" * 300,
        monitor="m" * 3000,
        group=tuple((f"label{i:03}", "v" * 5000) for i in range(10)),
        culprits=(Culprit("metric" * 500, 1.0, 1.0, 2.0, 1.5, 2.5),),
        details=Details(links=links),
    )
    target = notifier(service)
    target.notify(change)
    ((event,),) = service.open.values()
    assert len(event["dedup_key"]) == 64 and len(event["payload"]["summary"]) <= 1024
    assert event["payload"]["custom_details"] == {"left out": "the details are larger than PagerDuty takes"}
    target.notify(example_change(Change.resolved, 1, id="i" * 300))
    assert service.open == {}


def test_pace_stays_within_the_rate_limit() -> None:
    """At the pace that the notifier asks for, PagerDuty's limit is never met; twice as fast, it is."""
    service = PagerDuty(between=PagerDutyNotifier.pace)
    for i in range(200):
        notifier(service).notify(example_change(id=f"e{i}"))
    hurried = PagerDuty(between=PagerDutyNotifier.pace / 2)
    with pytest.raises(DeliveryError) as caught:
        for i in range(200):
            notifier(hurried).notify(example_change(id=f"e{i}"))
    assert (caught.value.reason, caught.value.recoverable) == ("rate_limited", True)


def test_severities_can_be_mapped() -> None:
    """The user decides which of PagerDuty's severities an event gets."""
    service = PagerDuty()
    target = notifier(service, severities={"warning": "error", "info": "warning"})
    for severity in Severity:
        target.notify(example_change(id=severity.value, severity=severity))
    sent = {key: events[0]["payload"]["severity"] for key, events in service.open.items()}
    assert sent == {"critical": "critical", "warning": "error", "info": "warning"}


def test_refusals() -> None:
    """A wrong key and an invalid event are final and distinguished; another server's answer may be a passing one."""
    wrong = "f" * 32
    with pytest.raises(DeliveryError, match="check `routing_key`") as caught:
        notifier(PagerDuty(), routing_key=wrong).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("invalid_key", False)
    assert wrong not in str(caught.value) and "<secret>" in str(caught.value)

    def invalid(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"message": "Event object is invalid", "errors": ["'x' is too long"]})

    with pytest.raises(DeliveryError, match="Event object is invalid; 'x' is too long") as caught:
        notifier(invalid).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("invalid_event", False)
    with pytest.raises(DeliveryError, match="it does not say why"):
        notifier(lambda _: httpx.Response(400)).notify(example_change())
    with pytest.raises(DeliveryError, match="answered 200 where PagerDuty says 202") as caught:
        notifier(lambda _: httpx.Response(200, text="please log in to the hotel network")).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("no_pagerduty", True)


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    """A key in a file is read at each event; while the file is away the delivery waits."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    service = PagerDuty()
    target = notifier(service, routing_key=None, routing_key_file=tmp_path / "key")
    target.notify(example_change())
    assert len(service.open) == 1
    (tmp_path / "key").unlink()
    with pytest.raises(DeliveryError, match="key") as caught:
        target.notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("config", True)


def test_mistakes_in_the_configuration() -> None:
    """No key, an unknown severity, a wrong address: refused; a good configuration does not show its key."""
    for wrong in ({"routing_key": None}, {"severities": {"critical": "fatal"}}, {"url": "events.eu.pagerduty.com"}):
        with pytest.raises(ValidationError):
            PagerDutyNotifier.Config.model_validate({"routing_key": KEY, **wrong})
    config = PagerDutyNotifier.Config.model_validate({"routing_key": KEY})
    assert KEY not in repr(config) and KEY not in json.dumps(config.model_dump(mode="json"))
