"""Killed between post and receipt, through the real store and dispatcher: the message comes once, and ends resolved."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.grafana.grafana_server import GrafanaServer
from tests.alerts.grafana.test_grafana import notifier as grafana_notifier
from tests.alerts.slack.slack_server import SlackServer
from tests.alerts.slack.test_slack import bot
from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.plugins import Receipt
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, example_change, example_details


class KilledError(BaseException):
    """Stands for ``kill -9``: no one catches it."""


class Mortal:
    """A notifier whose process dies right after its first delivery."""

    keeps_receipts = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        self._inner.notify(change, receipt)
        raise KilledError


def deliver_with_a_crash(make: Callable[[], Any], state: Path) -> None:
    """An event's three changes; the process dies between post and receipt of the first."""
    clock = FakeClock()
    changes = [example_change(change, i, details=example_details()) for i, change in enumerate(Change)]
    for mortal in (True, False):
        with Store(state, now=clock) as store:
            if mortal:
                for change in changes:
                    store.commit("hosts", change.event.group, None, {}, [change], ["oncall"])
            target = Mortal(make()) if mortal else make()
            dispatcher = Dispatcher(store, {"oncall": target}, now=clock, random=random.Random(0))
            if mortal:
                with pytest.raises(KilledError):
                    dispatcher.run_due()
                continue
            for _ in range(10):
                dispatcher.run_due()
                clock.advance(5)


def test_slack(slack: SlackServer, tmp_path: Path) -> None:
    """One message, resolved, with its end said once in the thread."""
    deliver_with_a_crash(lambda: bot(slack), tmp_path / "state.db")
    (message,) = slack.alerts.top()
    assert message["blocks"][0]["text"]["text"].startswith("✅")
    said = [one["text"] for one in slack.alerts.thread(message["ts"]) if one["text"]]
    assert len(said) == 1 and said[0].startswith("✅ Back to normal")


def test_grafana(grafana: GrafanaServer, tmp_path: Path) -> None:
    """One region, closed."""
    deliver_with_a_crash(lambda: grafana_notifier(grafana), tmp_path / "state.db")
    (region,) = grafana.annotations.values()
    assert region["timeEnd"] - region["time"] == 25 * 60_000
