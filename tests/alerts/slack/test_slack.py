"""Events in Slack as people meet them, against a stand-in that enforces Slack's limits, errors and authentication."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.alerts.loopback import Reply
from tests.alerts.slack.slack_server import SlackServer
from tsdiff_alerts.slack import SlackNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Severity
from tsdiff_monitor.plugins import Context, ReceiptKeeper
from tsdiff_monitor.testing import FakeClock, NotifierConformance, example_change, example_details

PNG = b"\x89PNG\r\n"


def bot(slack: SlackServer, **config: Any) -> SlackNotifier:
    """A notifier that posts to ``#alerts`` of the stand-in."""
    given = {"token": "xoxb-good", "channel": "C0ALERTS", "api_url": f"{slack.url}/api/", **config}
    return SlackNotifier(SlackNotifier.Config.model_validate(given), Context(name="oncall", now=FakeClock()))


class TestOnServer(NotifierConformance):
    """The promises of every notifier, with Slack's limits enforced."""

    secrets = ("xoxb-good",)

    @pytest.fixture(autouse=True)
    def _server(self, slack: SlackServer) -> None:
        self.slack = slack

    def make(self, context: Context) -> SlackNotifier:
        return bot(self.slack)


def test_an_event_is_one_message(slack: SlackServer) -> None:
    """Opening posts, later changes rewrite that message in place, and the thread says what matters, with pictures."""
    notifier = bot(slack)
    assert isinstance(notifier, ReceiptKeeper) and notifier.keeps_receipts
    details = example_details()
    receipt = notifier.notify(example_change(details=details, severity=Severity.warning))
    (message,) = slack.alerts.top()
    assert message["blocks"][0]["text"]["text"] == "🟠 hosts: instance=web-1 is behaving abnormally"
    assert [one["files"][0]["title"] for one in slack.alerts.thread(message["ts"])] == [
        "hosts: instance=web-1 is behaving abnormally"
    ]
    receipt = notifier.notify(example_change(Change.updated, 1, details=details, severity=Severity.warning), receipt)
    assert len(slack.alerts.thread(message["ts"])) == 1, "an ordinary update says nothing in the thread"
    receipt = notifier.notify(example_change(Change.updated, 2, details=details), receipt)
    notifier.notify(example_change(Change.resolved, 3, details=details), receipt)
    assert len(slack.alerts.top()) == 1
    assert message["blocks"][0]["text"]["text"] == "✅ hosts: instance=web-1 is back to normal"
    worse, _, over, _ = slack.alerts.thread(message["ts"])[1:]
    assert worse["text"] == "🔴 Worse: critical now, warning before; since 2024-05-01 03:05 UTC, 7 min so far."
    assert over["text"] == "✅ Back to normal since 2024-05-01 03:30 UTC, after 25 min."
    assert len(slack.files) == 3 and all(one["content"].startswith(PNG) for one in slack.files.values())
    assert slack.files["F0"]["alt_txt"].startswith("hosts: instance=web-1 is behaving abnormally: cpu 93.1, expected")


def test_the_same_change_again_changes_nothing(slack: SlackServer) -> None:
    """With the receipt of its first delivery, a change delivered again neither posts nor says anything twice."""
    notifier = bot(slack)
    receipt = notifier.notify(example_change(details=example_details()))
    receipt = notifier.notify(example_change(details=example_details()), receipt)
    resolved = example_change(Change.resolved, 1)
    receipt = notifier.notify(resolved, receipt)
    before = len(slack.alerts.messages)
    assert notifier.notify(resolved, receipt) == receipt
    assert len(slack.alerts.messages) == before


def test_killed_between_post_and_receipt(slack: SlackServer) -> None:
    """A process that dies right after posting finds its message after the restart; other events are not mistaken."""
    bot(slack).notify(example_change())
    restarted = bot(slack)
    restarted.notify(example_change(id="another"))
    receipt = restarted.notify(example_change())
    assert len(slack.alerts.top()) == 2
    assert receipt is not None and receipt["ts"] == slack.alerts.top()[0]["ts"]


def test_a_lost_answer_does_not_double_the_message(slack: SlackServer) -> None:
    """If Slack takes the post and the connection breaks before it says so, the retry finds the message."""
    notifier = bot(slack)
    notifier.notify(example_change(id="first"))
    slack.next["chat.postMessage"] = [Reply(lost=True)]
    with pytest.raises(DeliveryError) as caught:
        notifier.notify(example_change(details=example_details()))
    assert caught.value.recoverable
    notifier.notify(example_change(details=example_details()))
    assert len(slack.alerts.top()) == 2
    assert len(slack.files) == 1, "the picture that the first attempt did not come to is attached"


@pytest.mark.parametrize("code", ["missing_scope", "ratelimited"])
def test_the_search_is_no_condition(slack: SlackServer, code: str) -> None:
    """If the history cannot be read, an alert goes out nevertheless, and at once."""
    slack.refuse("conversations.history", code)
    bot(slack).notify(example_change())
    assert len(slack.alerts.top()) == 1


def test_a_channel_by_name(slack: SlackServer) -> None:
    """A channel may be given as ``#name``; the receipt holds its id, which ``chat.update`` needs."""
    notifier = bot(slack, channel="#alerts")
    receipt = notifier.notify(example_change())
    assert receipt is not None and receipt["channel"] == "C0ALERTS"
    notifier.notify(example_change(Change.resolved, 1), receipt)
    assert len(slack.alerts.top()) == 1


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message"])
def test_a_deleted_message_is_posted_anew(slack: SlackServer, code: str) -> None:
    """Somebody deleted the message: the next change posts another one, and goes on with that."""
    notifier = bot(slack)
    receipt = notifier.notify(example_change())
    slack.refuse("chat.update", code)
    receipt = notifier.notify(example_change(Change.updated, 1), receipt)
    assert receipt is not None and receipt["ts"] == slack.alerts.top()[1]["ts"]
    notifier.notify(example_change(Change.resolved, 2), receipt)
    assert len(slack.alerts.top()) == 2


def test_a_message_that_may_not_be_edited(slack: SlackServer) -> None:
    """If the workspace forbids edits, nothing is posted twice, and the end is still said in the thread."""
    notifier = bot(slack)
    receipt = notifier.notify(example_change())
    slack.refuse("chat.update", "edit_window_closed")
    notifier.notify(example_change(Change.resolved, 1), receipt)
    (message,) = slack.alerts.top()
    assert [one["text"][:16] for one in slack.alerts.thread(message["ts"])] == ["✅ Back to normal"]


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long"])
def test_a_form_that_slack_refuses(slack: SlackServer, code: str) -> None:
    """Should Slack dislike the blocks, the words go out as plain text, at the first try and at an update."""
    notifier = bot(slack)
    slack.refuse("chat.postMessage", code)
    receipt = notifier.notify(example_change())
    (message,) = slack.alerts.top()
    assert message["text"].startswith("🔴 hosts: instance=web-1") and "blocks" not in message
    slack.refuse("chat.update", code)
    notifier.notify(example_change(Change.updated, 1), receipt)
    assert "still" in message["text"]


def test_an_event_that_comes_back(slack: SlackServer) -> None:
    """An event that continues after its end takes its message up again and says so."""
    notifier = bot(slack)
    receipt = notifier.notify(example_change(Change.resolved, 1))
    notifier.notify(example_change(Change.updated, 2), receipt)
    (message,) = slack.alerts.top()
    assert [one["text"][:16] for one in slack.alerts.thread(message["ts"])] == ["🔴 Abnormal again"[:16]]
    assert message["blocks"][0]["text"]["text"].startswith("🔴")


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "upload", "files.completeUploadExternal"])
def test_a_picture_that_fails(slack: SlackServer, step: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With any fault of the picture, the message is posted once, the delivery counts, and the log says why."""
    if step == "upload":
        slack.next[step] = [Reply(500)]
    else:
        slack.refuse(step, "missing_scope")
    receipt = bot(slack).notify(example_change(details=example_details()))
    assert receipt is not None and "picture" not in receipt
    assert len(slack.alerts.messages) == 1
    logged = capsys.readouterr().out
    assert "message without its picture" in logged
    assert ("server_error" if step == "upload" else "permission") in logged


def test_a_picture_that_cannot_be_drawn(slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug in the drawing costs no message."""

    def broken(change: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("tsdiff_alerts.slack.picture.draw", broken)
    assert bot(slack).notify(example_change(details=example_details())) is not None
    assert len(slack.alerts.messages) == 1


def test_without_pictures(slack: SlackServer) -> None:
    """``picture: false`` attaches none."""
    bot(slack, picture=False).notify(example_change(details=example_details()))
    assert not slack.files


def test_the_token_from_a_file(slack: SlackServer, tmp_path: Path) -> None:
    """The token's file is read at each request, so that it may be rotated; a missing one may come back."""
    file = tmp_path / "token"
    file.write_text("xoxb-old\n")
    notifier = bot(slack, token=None, token_file=str(file))
    with pytest.raises(DeliveryError, match="invalid_auth"):
        notifier.notify(example_change())
    file.write_text("xoxb-good\n")
    notifier.notify(example_change())
    file.unlink()
    with pytest.raises(DeliveryError) as caught:
        notifier.notify(example_change(id="other"))
    assert (caught.value.reason, caught.value.recoverable) == ("config", True)


def test_what_is_sent(slack: SlackServer) -> None:
    """The request is the documented one: the token in the header only, links not unfurled, text never parsed."""
    bot(slack).notify(example_change())
    request = next(one for one in slack.requests if one.path == "/api/chat.postMessage")
    assert request.headers["authorization"] == "Bearer xoxb-good"
    assert b"xoxb-good" not in request.body and not request.query
    sent = json.loads(request.body)
    assert sent["channel"] == "C0ALERTS"
    assert (sent["parse"], sent["mrkdwn"], sent["unfurl_links"], sent["unfurl_media"]) == ("none", False, False, False)
    assert sent["metadata"] == {
        "event_type": "tsdiff_event",
        "event_payload": {"id": "0123456789abcdef", "state": "open", "severity": "critical"},
    }


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "give `token`"),
        ({"token": "xoxb-1"}, "needs a `channel`"),
        ({"webhook_url": "https://hooks.example/x", "channel": "C1"}, "`channel` has no effect"),
        ({"webhook_url": "https://hooks.example/x", "picture": True}, "`picture` has no effect"),
        ({"token": "xapp-1", "channel": "C1"}, "this is no bot token"),
        ({"token": "xoxb-1", "channel": "#two words"}, "pattern"),
        ({"token": "xoxb-1", "channel": "C1", "api_url": "slack.com"}, "not an address"),
        ({"token": "xoxb-1", "channel": "C1", "colour": "red"}, "colour"),
    ],
)
def test_configurations_that_cannot_work(config: dict[str, Any], said: str) -> None:
    """Each is refused when the configuration is read, in words that say what to change."""
    with pytest.raises(ValidationError, match=said):
        SlackNotifier.Config.model_validate(config)


def test_nothing_heavy_is_imported_early() -> None:
    """Reading a configuration with Slack in it loads neither the SDK nor the drawing: other commands stay quick."""
    code = (
        "import sys, tsdiff_alerts.slack, tsdiff_alerts.grafana; print({'slack_sdk', 'matplotlib'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "set()"
