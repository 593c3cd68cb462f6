"""Messages that went without their picture are counted, so that somebody notices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.alerts.email.smtp_mail_server import MailServer
from tests.alerts.email.test_smtp_mail import PNG, notifier
from tests.alerts.loopback import Reply
from tests.alerts.slack.slack_server import SlackServer
from tests.alerts.slack.test_slack import bot
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Measured
from tsdiff_monitor.testing import example_change, example_details

CHANGE = example_change(details=example_details())


def counted(notifier: object) -> float:
    assert isinstance(notifier, Measured)
    return notifier.stats()["pictures_failed_total"]


def broken(_: object) -> bytes:
    raise ZeroDivisionError


def refuse_upload(slack: SlackServer, _: pytest.MonkeyPatch) -> None:
    slack.next["upload"] = [Reply(500)]


def refuse_files(slack: SlackServer, _: pytest.MonkeyPatch) -> None:
    slack.refuse("files.getUploadURLExternal", "missing_scope")


def break_drawing(_: SlackServer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tsdiff_alerts.slack.picture.draw", broken)


@pytest.mark.parametrize("fail", [refuse_upload, refuse_files, break_drawing])
def test_slack_counts_each(slack: SlackServer, monkeypatch: pytest.MonkeyPatch, fail: Callable[..., None]) -> None:
    """Pictures not drawn or not uploaded, from 0 on; not those that came."""
    target = bot(slack)
    assert counted(target) == 0
    target.notify(CHANGE)
    assert (counted(target), len(slack.files)) == (0, 1)
    fail(slack, monkeypatch)
    target.notify(example_change(sequence=2, details=example_details()))
    assert counted(target) == 1


def test_slack_without_pictures_counts_none(slack: SlackServer) -> None:
    """Neither ``picture: false`` nor an event of which there is nothing to draw is a failure."""
    for target in (bot(slack, picture=False), bot(slack)):
        target.notify(example_change())
        assert counted(target) == 0


@pytest.mark.parametrize(
    ("picture", "failed", "said"),
    [
        (lambda _: PNG, 0, []),
        (lambda _: None, 0, []),
        (lambda _: PNG * 100, 1, ["too_large"]),
        (broken, 1, ["ZeroDivisionError"]),
    ],
    ids=["sent", "none", "too large", "broken"],
)
def test_email_counts_each(picture: Any, failed: int, said: list[str]) -> None:
    """A picture that could not be drawn or was too large for the server; the log says which."""
    with closing(_Closing(largest=40_000)) as server, capture_logs() as logs:
        target = notifier(server, picture)
        assert counted(target) == 0
        target.notify(CHANGE)
    assert counted(target) == failed
    assert [line["error"] for line in logs] == said


def test_a_mail_that_is_tried_again_counts_once() -> None:
    """The mail that arrived without its picture counts, not the attempts before."""
    with closing(_Closing()) as server:
        target = notifier(server, broken)
        server.post.data = "451 later"
        for _ in range(3):
            with pytest.raises(DeliveryError):
                target.notify(CHANGE)
        assert counted(target) == 0
        server.post.data = ""
        target.notify(CHANGE)
    assert counted(target) == 1


class _Closing(MailServer):
    close = MailServer.stop
