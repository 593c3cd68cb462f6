"""Alertmanager across a restart: which event an alert is of is known from the store."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tsdiff_alerts.alertmanager import AlertmanagerNotifier
from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, example_change

START = pd.Timestamp("2024-05-01T03:05:00Z")
LATER = pd.Timestamp("2024-05-01T03:18:00Z")


class Server:
    """An Alertmanager that notes the alerts that it is given, and refuses those of the first event while ``busy``."""

    def __init__(self) -> None:
        self.busy = False
        self.alerts: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        alerts: list[dict[str, Any]] = json.loads(request.content)
        if self.busy and len(alerts) == 1 and alerts[0]["startsAt"].startswith("2024-05-01T03:05"):
            return httpx.Response(503)
        self.alerts += alerts
        return httpx.Response(200)


class Process:
    """One life of the process: notifier, deliveries and resends over the same store."""

    def __init__(self, store: Store, clock: FakeClock, server: Server) -> None:
        config = AlertmanagerNotifier.Config.model_validate({"urls": ["http://am:9093"]})
        context = Context(name="am", now=clock, transport=httpx.MockTransport(server))
        notifiers, turns = {"am": AlertmanagerNotifier(config, context)}, Turns()
        self.dispatcher = Dispatcher(store, notifiers, now=clock, random=random.Random(0), turns=turns)
        self.resender = AlertResender(store, notifiers, now=clock, turns=turns)

    def second(self) -> None:
        """The work of both jobs once a second, in the order that is worse."""
        self.dispatcher.run_due()
        self.resender.run_due()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(pd.Timestamp("2024-05-01T03:20:00Z").timestamp())


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite", now=clock) as opened:
        yield opened


def commit(store: Store, change: EventChange) -> None:
    store.commit(change.event.monitor, change.event.group, None, None, [change], ["am"])


def test_a_late_resolution_leaves_the_newer_events_alert_alone(store: Store, clock: FakeClock) -> None:
    """An event's end that could not be sent before a restart does not resolve what a newer event of the group fires."""
    server = Server()
    before = Process(store, clock, server)
    for _ in range(2):
        before.second()
    commit(store, example_change(Change.opened, 1, start=START, confirmed=START, last=START, peak_time=START))
    before.second()
    server.busy = True
    commit(store, example_change(Change.resolved, 2, start=START, end=pd.Timestamp("2024-05-01T03:12:00Z")))
    before.second()
    clock.advance(10)
    commit(store, example_change(Change.opened, 1, id="newer", start=LATER, confirmed=LATER, last=LATER))
    assert before.dispatcher.run_due(1) == 1  # new changes go first
    assert store.counts() == {"pending": 1, "delivered": 2, "dead": 0}
    server.busy = False
    assert len({str(alert["labels"]) for alert in server.alerts}) == 1
    server.alerts.clear()
    clock.advance(60)
    after = Process(store, clock, server)
    for _ in range(3):
        after.second()
        clock.advance(1)
    assert store.counts() == {"pending": 0, "delivered": 3, "dead": 0}
    assert [alert["startsAt"] for alert in server.alerts] == [LATER.isoformat()]
    assert pd.Timestamp(server.alerts[0]["endsAt"]) > pd.Timestamp(clock.now, unit="s", tz="UTC")
