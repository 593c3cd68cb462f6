"""The Alertmanager notifier's posts, their receivers, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from tsdiff_alerts.alertmanager import AlertmanagerNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Member, Severity
from tsdiff_monitor.plugins import Context, ReceiptKeeper, Refresher
from tsdiff_monitor.testing import FakeClock, HttpNotifierConformance, example_change, example_details

CONFIG: dict[str, Any] = {
    "urls": ["http://one:9093", "https://two.example/alertmanager/"],
    "authorization": {"credentials": "token-of-ours"},
    "http_headers": {"X-Scope-OrgID": "tenant-of-ours"},
}
Handler = Callable[[httpx.Request], httpx.Response]


def notifier(handler: Handler, clock: FakeClock | None = None, **config: Any) -> AlertmanagerNotifier:
    """A notifier whose network is ``handler``; its clock says 03:20."""
    clock = clock or FakeClock(pd.Timestamp("2024-05-01T03:20:00Z").timestamp())
    context = Context(name="am", now=clock, transport=httpx.MockTransport(handler))
    return AlertmanagerNotifier(AlertmanagerNotifier.Config.model_validate({**CONFIG, **config}), context)


def taking(posts: list[httpx.Request]) -> Handler:
    """An Alertmanager that takes everything and keeps the requests in ``posts``."""

    def handler(request: httpx.Request) -> httpx.Response:
        posts.append(request)
        return httpx.Response(200)

    return handler


def posted(posts: list[httpx.Request]) -> list[list[dict[str, Any]]]:
    """The alerts of each post to the first peer."""
    return [json.loads(request.content) for request in posts if request.url.host == "one"]


class TestAlertmanager(HttpNotifierConformance):
    """The promises of every notifier that speaks HTTP. Posting an alert again is how Alertmanager wants it."""

    secrets = ("token-of-ours", "tenant-of-ours")

    def make(self, context: Context) -> AlertmanagerNotifier:
        return AlertmanagerNotifier(AlertmanagerNotifier.Config.model_validate(CONFIG), context)

    def test_keeps_receipts_and_refreshes(self) -> None:
        """The host learns from the class that there are receipts and that alerts lapse."""
        made = self.make(self.context())
        assert isinstance(made, ReceiptKeeper) and made.keeps_receipts
        assert isinstance(made, Refresher)
        assert (made.refresh_every.total_seconds(), made.keep_resolved.total_seconds()) == (60, 900)


def test_the_payload_of_an_opening() -> None:
    """Identifying labels, numbers in annotations, an end four rounds ahead; the same to each peer."""
    posts: list[httpx.Request] = []
    receipt = notifier(taking(posts)).notify(example_change(details=example_details()))
    assert receipt == {"severity": "critical"}
    assert [str(request.url) for request in posts] == [
        "http://one:9093/api/v2/alerts",
        "https://two.example/alertmanager/api/v2/alerts",
    ]
    assert {request.headers["Content-Type"] for request in posts} == {"application/json"}
    assert {request.headers["Authorization"] for request in posts} == {"Bearer token-of-ours"}
    assert {request.headers["X-Scope-OrgID"] for request in posts} == {"tenant-of-ours"}
    ((alert,),) = posted(posts)
    dashboard = example_details().links["dashboard"]
    description = alert["annotations"].pop("description")
    assert alert == {
        "labels": {
            "alertname": "AbnormalMetrics",
            "monitor": "hosts",
            "severity": "critical",
            "instance": "web-1",
        },
        "annotations": {
            "summary": "hosts: instance=web-1 is behaving abnormally",
            "severity": "critical",
            "score": "4.21",
            "peak_time": "2024-05-01 03:10 UTC",
            "duration": "7 min",
            "event": "0123456789abcdef",
            "culprit_1": "cpu: 93.1, expected 41.2–55 (62 %)",
            "culprit_2": "requests: 41.2k, expected 15.5k–20.1k (21 %)",
            "culprit_3": "memory: 0.0125, expected 0.0102–0.0119 (12 %)",
            "alarms_per_week": "0.7",
            "alarms_per_week_allowed": "1",
            "dashboard_url": dashboard,
        },
        "startsAt": "2024-05-01T03:05:00+00:00",
        "endsAt": "2024-05-01T03:24:00+00:00",
        "generatorURL": dashboard,
    }
    assert description.startswith("Since 2024-05-01 03:05 UTC, 7 min so far.")
    assert "  cpu: 93.1, expected 41.2–55 (62 %)" in description and "and 1 more" in description


def test_a_resolution_ends_when_the_event_did() -> None:
    """A resolved alert carries the event's end, or now if the data is ahead of the clock; never before its start."""
    posts: list[httpx.Request] = []
    clock = FakeClock(pd.Timestamp("2024-05-01T04:00:00Z").timestamp())
    target = notifier(taking(posts), clock)
    target.notify(example_change(Change.resolved, 2))
    clock.now = pd.Timestamp("2024-05-01T03:29:00Z").timestamp()
    target.notify(example_change(Change.resolved, 2))
    clock.now = 0.0
    target.notify(example_change(Change.resolved, 2))
    ends = [alert["endsAt"] for (alert,) in posted(posts)]
    assert ends == ["2024-05-01T03:30:00+00:00", "2024-05-01T03:29:00+00:00", "2024-05-01T03:05:00+00:00"]


def test_a_rise_resolves_the_former_alert() -> None:
    """The receipt's severity is resolved as the new one fires, once; with severity as an annotation nothing is."""
    posts: list[httpx.Request] = []
    target = notifier(taking(posts))
    receipt = target.notify(example_change(severity=Severity.warning))
    risen = example_change(Change.updated, 1)
    receipt = target.notify(risen, receipt)
    assert receipt == {"severity": "critical"}
    target.notify(risen, receipt)
    opened, rise, again = posted(posts)
    assert [alert["labels"]["severity"] for alert in rise] == ["warning", "critical"]
    assert rise[0]["labels"] == opened[0]["labels"]
    assert rise[0]["endsAt"] == "2024-05-01T03:20:00+00:00" and rise[1]["endsAt"] == "2024-05-01T03:24:00+00:00"
    assert rise[0]["annotations"]["description"] == "This goes on as an alert of severity critical."
    assert len(again) == 1
    posts.clear()
    target = notifier(taking(posts), severity_as="annotation")
    target.notify(risen, target.notify(example_change(severity=Severity.warning)))
    first, second = posted(posts)
    assert first[0]["labels"] == second[0]["labels"] and "severity" not in first[0]["labels"]
    assert [alert[0]["annotations"]["severity"] for alert in (first, second)] == ["warning", "critical"]


def test_a_newer_event_of_the_group_keeps_its_alert() -> None:
    """A late retry or refresh of an event that is over does not resolve the alert that its successor fires."""
    posts: list[httpx.Request] = []
    target = notifier(taking(posts))
    later = pd.Timestamp("2024-05-01T03:18:00Z")
    newer = example_change(id="newer", start=later, confirmed=later, last=later, peak_time=later)
    old = example_change(Change.resolved, 2, end=pd.Timestamp("2024-05-01T03:12:00Z"))
    target.refresh([newer, old])
    assert target.notify(old, {"severity": "critical"}) == {"severity": "critical"}
    target.refresh([old])
    ((alert,),) = posted(posts)
    assert alert["startsAt"] == "2024-05-01T03:18:00+00:00"
    target.notify(example_change(Change.resolved, 3, id="newer", start=later, end=later))
    target.notify(old)
    assert len(posted(posts)) == 3


def test_a_refresh_of_many_is_split() -> None:
    """A thousand alerts go out in posts of a bounded size, each alert once."""
    posts: list[httpx.Request] = []
    changes = [example_change(id=f"e{i}", group=(("instance", f"web-{i}"),)) for i in range(1000)]
    notifier(taking(posts)).refresh(changes)
    batches = posted(posts)
    assert [len(batch) for batch in batches] == [200] * 5
    assert len({alert["labels"]["instance"] for batch in batches for alert in batch}) == 1000
    assert max(len(request.content) for request in posts) < 1 << 20


def test_failing_peers() -> None:
    """One peer's failure is counted and logged, not raised; all together are one error that a retry may cure."""
    statuses = {"one": 503, "two.example": 200}

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(statuses[request.url.host], headers={"Retry-After": "20"}, text='"alert: bad label"')

    target = notifier(handler)
    with capture_logs() as logs:
        target.notify(example_change())
    assert [(line["peer"], line["reason"], line["failures"]) for line in logs] == [
        ("http://one:9093", "server_error", 1)
    ]
    assert not any(secret in str(logs) for secret in TestAlertmanager.secrets)
    assert dict(target.failed_posts) == {"http://one:9093": 1}
    statuses["two.example"] = 400
    with pytest.raises(DeliveryError) as caught:
        target.refresh([example_change()])
    assert (caught.value.recoverable, caught.value.reason, caught.value.retry_after) == (True, "server_error", 20)
    assert "one:9093: status 503" in str(caught.value) and "bad label" in str(caught.value)
    statuses["one"] = 400
    with pytest.raises(DeliveryError) as caught:
        target.notify(example_change())
    assert not caught.value.recoverable


def test_a_link_that_is_none_is_left_out() -> None:
    """An address that Alertmanager would refuse does not cost the alert."""
    details = type(example_details())(links={"run book": "not an address"})
    posts: list[httpx.Request] = []
    notifier(taking(posts)).notify(example_change(details=details))
    ((alert,),) = posted(posts)
    assert "generatorURL" not in alert
    assert alert["annotations"]["run_book_url"] == "not an address"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"urls": []}, "at least 1"),
        ({"urls": ["alertmanager:9093"]}, "written like http://alertmanager:9093"),
        ({"urls": ["http://robot:hidden@am:9093"]}, "basic_auth"),
        ({"urls": ["http://am:9093/api/v2/alerts"]}, "leave out /api/v2/alerts"),
        ({"urls": ["http://am:9093/?x=1"]}, "after ? or #"),
        ({"labels": {"a-b": "x"}}, "no label name"),
        ({"labels": {"monitor": "x"}}, "set by the notifier"),
        ({"labels": {"team": ""}}, "drops empty labels"),
        ({"resend_every": "10ms"}, "a second at least"),
        ({"basic_auth": {"username": "a", "password": "hidden"}}, "keep one"),
        ({"http_headers": {"Content-Type": "hidden"}}, "set by the notifier"),
        ({"url": "http://am:9093"}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration(wrong: dict[str, Any], said: str) -> None:
    """Each mistake is refused in words that name the remedy and show no secret."""
    with pytest.raises(ValidationError) as caught:
        AlertmanagerNotifier.Config.model_validate({**CONFIG, **wrong})
    assert said in str(caught.value) and "hidden" not in str(caught.value)


def test_absences_and_incidents_are_alerts_of_their_own() -> None:
    """A group may be absent while an anomaly of it is open, and two incidents may have all their labels in common."""
    posts: list[httpx.Request] = []
    target = notifier(taking(posts))
    member = Member("0" * 16, (("instance", "a"),))
    for sequence, event in enumerate(
        ({"id": "a" * 16}, {"id": "b" * 16, "kind": "absent"}, {"id": "c" * 16, "members": (member,)})
    ):
        target.notify(example_change(Change.opened, sequence, **event))
    labels = [alert["labels"] for (alert,) in posted(posts)]
    assert len({tuple(sorted(one.items())) for one in labels}) == 3
    assert [one.get("kind") for one in labels] == [None, "absent", None]
    assert [one.get("incident") for one in labels] == [None, None, "c" * 16]
