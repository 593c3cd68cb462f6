"""The demo's stand-in for Slack, with the notifier that posts to the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tsdiff_alerts.slack import SlackNotifier
from tsdiff_monitor.demo.slack_server import DemoSlack, plain_message
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, example_change, example_details


@pytest.fixture
def slack() -> Iterator[DemoSlack]:
    with DemoSlack() as running:
        yield running


@pytest.fixture
def notifier(slack: DemoSlack) -> Iterator[SlackNotifier]:
    config = {"token": "xoxb-demo", "channel": "#alerts", "api_url": slack.url}
    made = SlackNotifier(SlackNotifier.Config.model_validate(config), Context(name="oncall", now=FakeClock()))
    yield made
    made.close()


def test_an_event_is_one_message(slack: DemoSlack, notifier: SlackNotifier) -> None:
    """Posted, then updated in place, with its end and its pictures in the thread."""
    details = example_details()
    receipt = notifier.notify(example_change(Change.opened, 1, details=details))
    before = plain_message(slack.posts[0])
    notifier.notify(example_change(Change.resolved, 2, details=details), receipt)
    (post,) = slack.posts
    assert "is behaving abnormally" in before and "back to normal" in plain_message(post)
    assert len(post.thread) == 1
    assert len(post.pictures) == 2 and min(post.pictures) > 10_000


def test_a_message_as_text(slack: DemoSlack, notifier: SlackNotifier) -> None:
    """The text to be read, without Slack's markup: headline, facts, culprits, links, and what is in the thread."""
    change = example_change(Change.opened, 1, details=example_details(), group=(("path", "<a&b>"),))
    notifier.notify(change)
    lines = plain_message(slack.posts[0]).splitlines()
    assert "path=<a&b>" in lines[0]
    assert "Severity: critical" in lines
    assert "•  cpu  93.1, expected 41.2–55  (62 %)" in lines
    assert "Dashboard: https://grafana.example/d/hosts?from=1714531980000&to=1714533120000" in lines
    assert lines[-1].startswith("  ↳ picture of actual against expected, ")


def test_other_methods_are_refused(slack: DemoSlack) -> None:
    """As Slack does, so that a mistake does not pass for a success."""
    import httpx

    answer = httpx.post(f"{slack.url}chat.delete", json={}, trust_env=False)
    assert answer.json() == {"ok": False, "error": "unknown_method"}
