"""A real Alertmanager takes, keeps, replaces and resolves the alerts, and notifies Slack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import pandas as pd
import pytest

from tests.alerts.alertmanager.alertmanager_server import Posts, alerts_at, slack_posts, start_alertmanager, until
from tests.servers.certificates import Authority
from tests.servers.process import Process
from tsdiff_alerts.alertmanager import AlertmanagerNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, EventChange, Severity
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import example_change, example_details

Make = Callable[..., AlertmanagerNotifier]


@pytest.fixture(scope="module")
def slack() -> Iterator[tuple[str, Posts]]:
    """The address that the Alertmanager notifies, and what arrived there."""
    with slack_posts() as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, slack: tuple[str, Posts]) -> Iterator[Process]:
    """One Alertmanager for all tests; each uses a group of its own."""
    running = start_alertmanager(tmp_path_factory.mktemp("alertmanager"), slack[0])
    yield running
    running.stop()


@pytest.fixture
def notifier() -> Iterator[Make]:
    """Makes notifiers for the given peers, with a clock ``behind`` (seconds), and closes them."""
    with ExitStack() as stack:

        def make(*urls: str, behind: float = 0.0, **config: Any) -> AlertmanagerNotifier:
            checked = AlertmanagerNotifier.Config.model_validate({"urls": urls, **config})
            made = AlertmanagerNotifier(checked, Context(name="am", now=lambda: time.time() - behind))
            stack.callback(made.close)
            return made

        yield make


def changed(change: Change, host: str, sequence: int = 0, **event: Any) -> EventChange:
    """A change of an event that began ten minutes ago on ``host``."""
    now = pd.Timestamp.now("UTC").floor("s")
    begun = now - pd.Timedelta("10min")
    times = {"start": begun, "confirmed": begun, "last": now, "peak_time": begun, "end": None}
    if change is Change.resolved:
        times["end"] = now - pd.Timedelta("5min")
    group = (("instance", host),)
    return example_change(change, sequence, details=example_details(), **{**times, "group": group, **event})


def firing(url: str, host: str) -> list[dict[str, Any]]:
    """The alerts of a host that Alertmanager holds as firing."""
    return [alert for alert in alerts_at(url) if alert["labels"].get("instance") == host]


def sent(posts: Posts, host: str) -> list[str]:
    """The texts that Slack got about a host."""
    return [post["attachments"][0]["text"] for post in posts if host in str(post)]


def test_an_alert_fires_is_updated_and_resolved(notifier: Make, server: Process, slack: tuple[str, Posts]) -> None:
    """Slack gets the opening and the resolution; in between the annotations follow the event."""
    target = notifier(server.url, labels={"team": "core"})
    receipt = target.notify(changed(Change.opened, "web-1"))
    assert receipt == {"severity": "critical"}
    (alert,) = firing(server.url, "web-1")
    assert alert["labels"] == {
        "alertname": "AbnormalMetrics",
        "monitor": "hosts",
        "severity": "critical",
        "instance": "web-1",
        "team": "core",
    }
    assert alert["generatorURL"] == alert["annotations"]["dashboard_url"] == example_details().links["dashboard"]
    assert alert["annotations"]["culprit_1"] == "cpu: 93.1, expected 41.2–55 (62 %)"
    until(lambda: sent(slack[1], "web-1") != [], "Slack gets that web-1 is abnormal")
    target.notify(changed(Change.updated, "web-1", 1, peak=7.5), receipt)
    (again,) = firing(server.url, "web-1")
    assert (again["fingerprint"], again["annotations"]["score"]) == (alert["fingerprint"], "7.50")
    target.notify(changed(Change.resolved, "web-1", 2), receipt)
    until(lambda: firing(server.url, "web-1") == [], "the alert is resolved")
    until(lambda: len(sent(slack[1], "web-1")) == 2, "Slack gets that web-1 is normal again")
    first, last = sent(slack[1], "web-1")
    assert first.startswith("firing critical: hosts: instance=web-1 is behaving abnormally")
    assert last.startswith("resolved critical: hosts: instance=web-1 is back to normal")


def test_an_alert_lapses_unless_it_is_sent_again(notifier: Make, server: Process, slack: tuple[str, Posts]) -> None:
    """An alert outlives its deadline only by refreshes, and a resolved one stays resolved when refreshed."""
    target = notifier(server.url, behind=3.0, resend_every="1s")  # so that alerts lapse after one second
    change = changed(Change.opened, "web-2")
    target.notify(change)
    began = time.monotonic()
    while time.monotonic() < began + 1.6:
        target.refresh([change])
        assert firing(server.url, "web-2"), "it lapsed although it was sent again"
        time.sleep(0.2)
    until(lambda: firing(server.url, "web-2") == [], "an alert that is not sent lapses")
    target.refresh([change])
    assert firing(server.url, "web-2"), "a lapsed alert fires again with the next refresh"
    target.refresh([changed(Change.resolved, "web-2", 1)])
    until(lambda: firing(server.url, "web-2") == [], "it is resolved by a refresh")


def test_a_rise_in_severity_replaces_the_alert(notifier: Make, server: Process, slack: tuple[str, Posts]) -> None:
    """The alert of the former severity is resolved in the same message that says it goes on, as a worse one."""
    target = notifier(server.url)
    receipt = target.notify(changed(Change.opened, "web-3", severity=Severity.warning))
    until(lambda: len(sent(slack[1], "web-3")) == 1, "Slack gets the warning")
    target.notify(changed(Change.updated, "web-3", 1, severity=Severity.critical), receipt)
    assert [alert["labels"]["severity"] for alert in firing(server.url, "web-3")] == ["critical"]
    until(lambda: len(sent(slack[1], "web-3")) >= 2, "Slack gets the rise")
    assert "firing critical: hosts: instance=web-3 is still behaving abnormally" in sent(slack[1], "web-3")[-1]


def test_one_peer_is_enough(notifier: Make, server: Process) -> None:
    """With a peer down the change is delivered by the other; with all of them down it is to be tried again."""
    target = notifier("http://127.0.0.1:1", server.url)
    target.notify(changed(Change.opened, "web-4"))
    assert len(firing(server.url, "web-4")) == 1
    assert dict(target.failed_posts) == {"http://127.0.0.1:1": 1}
    down = notifier("http://127.0.0.1:1", "http://127.0.0.1:2")
    with pytest.raises(DeliveryError, match=r"no Alertmanager took it: .*127\.0\.0\.1:1.*127\.0\.0\.1:2") as caught:
        down.notify(changed(Change.opened, "web-4"))
    assert (caught.value.reason, caught.value.recoverable) == ("connect", True)


def test_unusual_labels_are_accepted(notifier: Make, server: Process) -> None:
    """For any names of a group's labels, Alertmanager takes the alert and finds each value under a valid name."""
    group = (("7th", "a"), ("alertname", "b"), ("k8s.pod/name", "c"), ("k8s_pod.name", "d"), ("instance", "web-5"))
    target = notifier(server.url)
    target.notify(changed(Change.opened, "web-5", group=tuple(sorted(group))))
    (alert,) = firing(server.url, "web-5")
    assert alert["labels"] == {
        "alertname": "AbnormalMetrics",
        "monitor": "hosts",
        "severity": "critical",
        "_7th": "a",
        "exported_alertname": "b",
        "instance": "web-5",
        "k8s_pod_name": "c",
        "k8s_pod_name_2": "d",
    }


def test_a_clock_behind_the_data_does_not_lose_the_alert(notifier: Make, server: Process) -> None:
    """An event that begins in this machine's future is posted with an end that Alertmanager does not refuse."""
    later = pd.Timestamp.now("UTC") + pd.Timedelta("1h")
    target = notifier(server.url)
    target.notify(changed(Change.opened, "web-6", start=later, last=later))
    assert "web-6" in {alert["labels"]["instance"] for alert in alerts_at(server.url) if "instance" in alert["labels"]}
    target.notify(changed(Change.resolved, "web-6", start=later, last=later, end=later))


def test_behind_tls_and_a_password(notifier: Make, tmp_path: Path, slack: tuple[str, Posts]) -> None:
    """With the right authority and password alerts arrive; each mistake says which key fixes it."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    web = {
        "tls_server_config": {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)},
        "basic_auth_users": {"robot": bcrypt.hashpw(b"open-sesame", bcrypt.gensalt(4)).decode()},
    }
    server = start_alertmanager(tmp_path, slack[0], web_config=web, verify=False, auth=("robot", "open-sesame"))
    good = {
        "tls_config": {"ca_file": authority.ca_file},
        "basic_auth": {"username": "robot", "password": "open-sesame"},
    }
    try:
        target = notifier(server.url, **good)
        target.notify(changed(Change.opened, "web-7"))
        for wrong, reason, recoverable, key in (
            ({"tls_config": {}}, "tls", True, "tls_config.ca_file"),
            ({"basic_auth": {"username": "robot", "password": "wrong-word"}}, "auth", False, "basic_auth"),
            ({"tls_config": {"ca_file": tmp_path / "none.pem"}}, "config", True, "tls_config.ca_file"),
            ({"tls_config": {"ca_file": authority.ca_file, "server_name": "other"}}, "tls", True, "server_name"),
        ):
            target = notifier(server.url, **{**good, **wrong})
            with pytest.raises(DeliveryError, match=key) as caught:
                target.notify(changed(Change.opened, "web-7"))
            assert (caught.value.reason, caught.value.recoverable) == (reason, recoverable)
            assert "wrong-word" not in str(caught.value)
    finally:
        server.stop()
