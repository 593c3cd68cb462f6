"""Events in Grafana: one region each, against a stand-in that enforces the API's limits, errors and authentication."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from tests.alerts.grafana.grafana_server import GrafanaServer
from tests.alerts.loopback import Reply
from tsdiff_alerts.grafana import GrafanaNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Culprit
from tsdiff_monitor.plugins import Context, ReceiptKeeper
from tsdiff_monitor.testing import (
    FakeClock,
    HttpNotifierConformance,
    NotifierConformance,
    example_change,
    example_details,
)

START = 1_714_532_700_000
GOLDEN = {
    "id": 1,
    "time": START,
    "timeEnd": START + 7 * 60_000,
    "tags": [
        "tsdiff",
        "event:0123456789abcdef",
        "severity:critical",
        "monitor:hosts",
        "instance:web-1",
    ],
    "text": "hosts: instance=web-1 is behaving abnormally<br>"
    "since 2024-05-01 03:05 UTC, 7 min so far<br>"
    "very sure (peak score 4.21; alarms start at 1)<br>"
    "cpu: 93.1, expected 41.2–55 (62 %)<br>"
    "requests: 41.2k, expected 15.5k–20.1k (21 %)<br>"
    "memory: 0.0125, expected 0.0102–0.0119 (12 %)<br>"
    "and 1 more<br>"
    "This monitor lately: 0.7 alarms a week not marked as real, 1 allowed<br>"
    '<a href="https://grafana.example/d/hosts?from=1714531980000&amp;to=1714533120000">Dashboard</a>',
}


def notifier(grafana: GrafanaServer, **config: Any) -> GrafanaNotifier:
    """A notifier for the stand-in."""
    given = {"url": grafana.url, "token": "glsa_good", **config}
    return GrafanaNotifier(GrafanaNotifier.Config.model_validate(given), Context(name="graphs", now=FakeClock()))


class TestStatuses(HttpNotifierConformance):
    """The table of statuses."""

    secrets = ("glsa_token",)

    def make(self, context: Context) -> GrafanaNotifier:
        config = {"url": "https://grafana.example/sub/", "token": "glsa_token"}
        return GrafanaNotifier(GrafanaNotifier.Config.model_validate(config), context)

    def success(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path.startswith("/sub/api/annotations")
        return httpx.Response(200, json={"id": 7} if request.method == "POST" else [])


class TestOnServer(NotifierConformance):
    """The promises of every notifier, with Grafana's limits enforced."""

    secrets = ("glsa_good",)

    @pytest.fixture(autouse=True)
    def _server(self, grafana: GrafanaServer) -> None:
        self.grafana = grafana

    def make(self, context: Context) -> GrafanaNotifier:
        return notifier(self.grafana)


def test_an_event_is_one_region(grafana: GrafanaServer) -> None:
    """Opened at the start, moved on while it lasts, closed at the end: one annotation in any case."""
    target = notifier(grafana)
    assert isinstance(target, ReceiptKeeper) and target.keeps_receipts
    receipt = target.notify(example_change(details=example_details()))
    assert grafana.annotations == {1: GOLDEN}
    target.notify(example_change(Change.updated, 1), receipt)
    target.notify(example_change(Change.resolved, 2), receipt)
    (region,) = grafana.annotations.values()
    assert (region["time"], region["timeEnd"]) == (START, START + 25 * 60_000)
    assert region["text"].startswith("hosts: instance=web-1 is back to normal<br>2024-05-01 03:05 UTC to 03:30 UTC")
    posted = [one for one in grafana.requests if one.method == "POST"]
    assert len(posted) == 1 and "dashboardUID" not in json.loads(posted[0].body)


def test_on_a_panel(grafana: GrafanaServer) -> None:
    """With ``dashboard_uid`` and ``panel_id`` only that panel is marked."""
    notifier(grafana, dashboard_uid="hosts", panel_id=3, tags=["team:web"]).notify(example_change())
    assert grafana.annotations[1]["dashboardUID"] == "hosts"
    assert grafana.annotations[1]["panelId"] == 3
    assert "team:web" in grafana.annotations[1]["tags"]


def test_a_dashboard_that_is_missing(grafana: GrafanaServer) -> None:
    """Grafana itself would mark the whole organisation without a word: refused instead, by name."""
    with pytest.raises(DeliveryError, match="no dashboard gone; check `dashboard_uid`") as caught:
        notifier(grafana, dashboard_uid="gone").notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("not_found", False)
    assert not grafana.annotations


def test_a_token_that_may_only_annotate(grafana: GrafanaServer) -> None:
    """Without the permissions to read, nothing can be looked up, and the region is drawn all the same."""
    grafana.tokens["glsa_good"] = {"annotations:write"}
    notifier(grafana, dashboard_uid="hosts").notify(example_change())
    assert len(grafana.annotations) == 1


@pytest.mark.parametrize("hides", [True, False])
def test_a_region_that_was_deleted(grafana: GrafanaServer, hides: bool) -> None:
    """It is drawn anew, whether Grafana calls it missing or, as to an editor, forbidden."""
    target = notifier(grafana)
    receipt = target.notify(example_change())
    grafana.annotations.clear()
    grafana.annotations[9] = {"id": 9, "tags": ["somebody's"], "text": "deploy"}
    grafana.hides_deleted = hides
    receipt = target.notify(example_change(Change.resolved, 1), receipt)
    assert receipt is not None and grafana.annotations[int(receipt["id"])]["timeEnd"] == START + 25 * 60_000
    assert grafana.annotations[9] == {"id": 9, "tags": ["somebody's"], "text": "deploy"}


def test_killed_between_post_and_receipt(grafana: GrafanaServer) -> None:
    """A delivery made again without its receipt finds the region by its tag."""
    notifier(grafana).notify(example_change(id="other"))
    notifier(grafana).notify(example_change())
    receipt = notifier(grafana).notify(example_change())
    assert receipt == {"id": "2"} and len(grafana.annotations) == 2


def test_a_lost_answer_does_not_double_the_region(grafana: GrafanaServer) -> None:
    """If Grafana draws it and the connection breaks before it says so, the retry finds the region."""
    target = notifier(grafana)
    grafana.next = [Reply(200, b"[]"), Reply(lost=True)]
    with pytest.raises(DeliveryError) as caught:
        target.notify(example_change())
    assert caught.value.recoverable and len(grafana.annotations) == 1
    target.notify(example_change())
    assert len(grafana.annotations) == 1


def test_wrong_tokens(grafana: GrafanaServer, tmp_path: Path) -> None:
    """A token that is unknown or may not annotate is final and says what it needs; a rotated file takes effect."""
    file = tmp_path / "token"
    file.write_text("glsa_old")
    target = notifier(grafana, token=None, token_file=str(file))
    receipt = None
    for token in ("glsa_old", "glsa_reader"):
        file.write_text(token)
        grafana.tokens["glsa_reader"] = {"annotations:read"}
        with pytest.raises(DeliveryError, match="annotations:write") as caught:
            target.notify(example_change())
        assert not caught.value.recoverable and token not in str(caught.value)
    file.write_text("glsa_good\n")
    receipt = target.notify(example_change())
    file.write_text("glsa_reader\n")
    with pytest.raises(DeliveryError, match="must not be changed"):
        target.notify(example_change(Change.resolved, 1), receipt)


def test_an_address_that_is_not_grafanas(grafana: GrafanaServer) -> None:
    """A 404 from elsewhere and a page that is no JSON do not count as delivered."""
    with pytest.raises(DeliveryError, match="check `url`"):
        notifier(grafana, url=grafana.url.removesuffix("/grafana")).notify(example_change())
    grafana.next = [Reply(200, b"<html>"), Reply(200, b"<html>")]
    with pytest.raises(DeliveryError, match="names no annotation"):
        notifier(grafana).notify(example_change())


def test_labels_are_only_text(grafana: GrafanaServer) -> None:
    """Grafana shows the text as HTML: nothing in a label or metric becomes markup; tags stay within the limit."""
    nasty = '<img src=x onerror="alert(1)">'
    group = tuple((f"label{i}", f"{nasty}{i}") for i in range(30))
    culprits = (Culprit(nasty, 1.0, 1.0, 2.0, 1.5, 2.5),)
    notifier(grafana).notify(example_change(group=group, culprits=culprits))
    region = grafana.annotations[1]
    assert "<img" not in region["text"] and "&lt;img" in region["text"]
    assert 5 <= len(region["tags"]) < 30


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"url": "https://g.example"}, "give `token`"),
        ({"token": "x"}, "url"),
        ({"url": "g.example", "token": "x"}, "not an address"),
        ({"url": "https://me:pw@g.example", "token": "x"}, "must hold no user name"),
        ({"url": "https://g.example", "token": "x", "panel_id": 1}, "needs the `dashboard_uid`"),
        ({"url": "https://g.example", "token": "x", "dashboard_uid": "a/b"}, "pattern"),
        ({"url": "https://g.example", "token": "x", "tags": ["x" * 90] * 3}, "too long"),
    ],
)
def test_configurations_that_cannot_work(config: dict[str, Any], said: str) -> None:
    """Each is refused when the configuration is read, in words that say what to change."""
    with pytest.raises(ValidationError, match=said):
        GrafanaNotifier.Config.model_validate(config)
