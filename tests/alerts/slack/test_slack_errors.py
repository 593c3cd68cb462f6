"""Any answer of Slack has a reason, a remedy, a verdict whether to try again, and no secret."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.alerts.loopback import Reply
from tests.alerts.slack.slack_server import SlackServer
from tests.alerts.slack.test_slack import bot
from tsdiff_alerts.slack import SlackNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Severity
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, HttpNotifierConformance, example_change, example_details

HOOK = "/services/T0/B0/hook-secret"


class TestBot(HttpNotifierConformance):
    """The table of statuses, through the Web API."""

    secrets = ("xoxb-token",)

    def make(self, context: Context) -> SlackNotifier:
        return SlackNotifier(SlackNotifier.Config.model_validate({"token": "xoxb-token", "channel": "C0X"}), context)

    def success(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "slack.com"
        return httpx.Response(200, json={"ok": True, "channel": "C0X", "ts": "1.2"})


class TestWebhook(HttpNotifierConformance):
    """The table of statuses, through an incoming webhook."""

    secrets = ("hook-secret",)

    def make(self, context: Context) -> SlackNotifier:
        config = {"webhook_url": f"https://hooks.slack.example{HOOK}"}
        return SlackNotifier(SlackNotifier.Config.model_validate(config), context)

    def success(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="ok")


@pytest.mark.parametrize(
    ("code", "reason", "recoverable", "remedy"),
    [
        ("invalid_auth", "auth", False, "check `token`"),
        ("token_revoked", "auth", False, "check `token`"),
        ("account_inactive", "auth", False, "install it again"),
        ("missing_scope", "permission", False, "OAuth & Permissions"),
        ("restricted_action_read_only_channel", "permission", False, "administrator"),
        ("channel_not_found", "channel", False, "check `channel`"),
        ("not_in_channel", "channel", False, "/invite"),
        ("is_archived", "channel", False, "unarchive"),
        ("ratelimited", "rate_limited", True, "slow down"),
        ("fatal_error", "server_error", True, "Slack has trouble"),
        ("internal_error", "server_error", True, "Slack has trouble"),
        ("request_timeout", "timeout", True, "Slack has trouble"),
        ("something_new", "refused", False, "something_new"),
        ("<b>\nforged", "refused", False, "it says no more"),
    ],
)
def test_error_codes(slack: SlackServer, code: str, reason: str, recoverable: bool, remedy: str) -> None:
    """``ok: false`` is a failure although the status is 200, each code with its meaning and what to do."""
    slack.refuse("chat.postMessage", code)
    with pytest.raises(DeliveryError) as caught:
        bot(slack).notify(example_change())
    error = caught.value
    assert (error.reason, error.recoverable) == (reason, recoverable)
    assert remedy in str(error) and str(error).startswith("slack 'oncall': Slack refused to post to C0ALERTS: ")
    assert "xoxb-good" not in str(error) and "\n" not in str(error)


def test_the_missing_scope_is_named(slack: SlackServer) -> None:
    """The user learns which scope to add."""
    slack.next["chat.postMessage"] = []
    slack.tokens["xoxb-good"] = {"channels:history"}
    body = {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "channels:history"}
    config = {"token": "xoxb-token", "channel": "C0X"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    notifier = SlackNotifier(SlackNotifier.Config.model_validate(config), Context(transport=transport))
    with pytest.raises(DeliveryError, match=r"missing_scope \(chat:write\)"):
        notifier.notify(example_change())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda slack: slack.tokens.clear(), "invalid_auth"),
        (lambda slack: slack.revoked.add("xoxb-good"), "token_revoked"),
        (lambda slack: slack.channels.clear(), "channel_not_found"),
        (lambda slack: setattr(slack.alerts, "archived", True), "is_archived"),
        (lambda slack: setattr(slack.alerts, "joined", False), "not_in_channel"),
    ],
)
def test_a_workspace_that_changed(slack: SlackServer, change: Any, said: str) -> None:
    """A wrong or revoked token, an unknown, archived or left channel: final at the first post and at an update."""
    notifier = bot(slack)
    receipt = notifier.notify(example_change())
    change(slack)
    for known in (receipt, None):
        with pytest.raises(DeliveryError, match=said) as caught:
            notifier.notify(example_change(Change.updated, 1, id="0123456789abcdef" if known else "other"), known)
        assert not caught.value.recoverable


def test_retry_after_of_both_forms(slack: SlackServer) -> None:
    """Slack says how long to wait with a 429 and, rarely, with a 200: it is passed on, and nothing sleeps here."""
    for status in (429, 200):
        slack.refuse("chat.postMessage", "ratelimited", status, **{"Retry-After": "17"})
        with pytest.raises(DeliveryError) as caught:
            bot(slack).notify(example_change())
        assert (caught.value.reason, caught.value.retry_after) == ("rate_limited", 17)


@pytest.mark.parametrize("body", ["<html>a proxy</html>", "[]", '{"fine": true}', '{"ok": true}'])
def test_answers_that_are_not_slacks(body: str) -> None:
    """A page of some proxy, with status 200, is no delivery: the post is tried again."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    config = SlackNotifier.Config.model_validate({"token": "xoxb-token", "channel": "#x"})
    with pytest.raises(DeliveryError) as caught:
        SlackNotifier(config, Context(transport=transport)).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("bad_answer", True)


def hook(slack: SlackServer, **config: Any) -> SlackNotifier:
    """A notifier that has a webhook only."""
    given = {"webhook_url": slack.url + HOOK, **config}
    return SlackNotifier(SlackNotifier.Config.model_validate(given), Context(name="oncall", now=FakeClock()))


def test_a_webhook_says_only_what_is_new(slack: SlackServer) -> None:
    """It cannot update: the opening, a rise of the severity and the end are messages, other changes are not."""
    notifier = hook(slack)
    receipt = notifier.notify(example_change(severity=Severity.info, details=example_details()))
    for change, severity in (
        (Change.updated, Severity.info),
        (Change.updated, Severity.warning),
        (Change.updated, Severity.warning),
        (Change.resolved, Severity.warning),
    ):
        receipt = notifier.notify(example_change(change, severity=severity), receipt)
    assert [one["blocks"][0]["text"]["text"][:1] for one in slack.alerts.top()] == ["🔵", "🟠", "✅"]


@pytest.mark.parametrize(
    ("path", "archived", "reason", "remedy"),
    [("/services/gone", False, "auth", "create a new one"), (HOOK, True, "channel", "unarchive")],
)
def test_webhooks_that_are_gone(slack: SlackServer, path: str, archived: bool, reason: str, remedy: str) -> None:
    """A removed webhook and an archived channel are final, and the message shows no part of the secret address."""
    slack.alerts.archived = archived
    with pytest.raises(DeliveryError, match=remedy) as caught:
        hook(slack, webhook_url=slack.url + path).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == (reason, False)
    assert "services" not in str(caught.value)


def test_a_webhook_that_dislikes_the_blocks(slack: SlackServer) -> None:
    """The words go out as plain text."""
    slack.refuse("webhook", "invalid_blocks", 400)
    hook(slack).notify(example_change())
    assert "blocks" not in slack.alerts.top()[0]


def test_a_webhook_that_says_no_with_a_200(slack: SlackServer) -> None:
    """``ok: false`` is a failure under any status."""
    slack.refuse("webhook", "fatal_error")
    with pytest.raises(DeliveryError) as caught:
        hook(slack).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("server_error", True)


def test_a_webhook_that_answers_with_a_page(slack: SlackServer) -> None:
    """The page of a proxy, with status 200, is no delivery: the post is tried again."""
    slack.next["webhook"] = [Reply(200, b"<html>log in first</html>")]
    with pytest.raises(DeliveryError) as caught:
        hook(slack).notify(example_change())
    assert (caught.value.reason, caught.value.recoverable) == ("bad_answer", True)


def test_the_webhook_steps_in_for_the_token(slack: SlackServer, capsys: pytest.CaptureFixture[str]) -> None:
    """With both, a revoked token does not silence the alert; once fixed, one message is kept up to date again."""
    notifier = bot(slack, webhook_url=slack.url + HOOK)
    slack.revoked.add("xoxb-good")
    receipt = notifier.notify(example_change())
    assert len(slack.alerts.top()) == 1 and "posting by webhook instead" in capsys.readouterr().out
    slack.revoked.clear()
    for sequence in (1, 2):
        receipt = notifier.notify(example_change(Change.updated, sequence), receipt)
    assert len(slack.alerts.top()) == 2
    slack.refuse("chat.update", "fatal_error")
    with pytest.raises(DeliveryError, match="fatal_error"):
        notifier.notify(example_change(Change.resolved, 3), receipt)
