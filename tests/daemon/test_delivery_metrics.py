"""The state of the notifiers, as metrics."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tsdiff_monitor.daemon.delivery_metrics import DeliveryMetrics
from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, example_event

REFUSED = DeliveryError("the token was revoked", recoverable=False, reason="auth")
BUSY = DeliveryError("slow down", recoverable=True, reason="rate_limited")


class Lapsing(MemoryNotifier):
    """Fails to be reminded as often as it is set to."""

    refresh_every = timedelta(minutes=1)
    keep_resolved = timedelta(minutes=15)

    def __init__(self, *reminders: Exception | None) -> None:
        super().__init__()
        self._reminders = [*reminders]

    def refresh(self, changes: Sequence[EventChange]) -> None:
        assert changes
        failure = self._reminders.pop(0)
        if failure is not None:
            raise failure


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite", now=clock) as opened:
        yield opened


class World:
    """Notifiers by name over a store, and what a scrape shows of them."""

    def __init__(self, store: Store, clock: FakeClock, **notifiers: MemoryNotifier) -> None:
        self.store = store
        self.dispatcher = Dispatcher(store, notifiers, now=clock, random=random.Random(0))
        self.resender = AlertResender(store, notifiers, now=clock)
        self._registry = CollectorRegistry()
        self._registry.register(DeliveryMetrics(store, self.dispatcher, self.resender, tuple(notifiers)))

    def commit(self, name: str, sequence: int, *notifiers: str) -> None:
        change = Change.opened if sequence == 1 else Change.updated
        self.store.commit("hosts", (), None, None, [EventChange(change, example_event(id=name), sequence)], notifiers)

    def shown(self, metric: str) -> dict[str, float]:
        samples = (line for line in generate_latest(self._registry).decode().splitlines() if line[0] != "#")
        found = (sample.replace('{notifier="', " ").replace('"}', "").split() for sample in samples)
        return {notifier: float(value) for name, notifier, value in found if name == metric}


def test_dead_letters_are_counted_until_they_are_put_back(store: Store, clock: FakeClock) -> None:
    """By notifier, from 0 on, those of one that left the configuration too; not what a later change has overtaken."""
    world = World(store, clock, mail=MemoryNotifier(), chat=MemoryNotifier(failures=[REFUSED, REFUSED]))
    assert world.shown("tsdiff_outbox_dead") == {"mail": 0, "chat": 0}
    world.commit("a", 1, "mail", "chat", "gone")
    world.commit("b", 1, "chat")
    world.dispatcher.run_due()
    assert world.shown("tsdiff_outbox_dead") == {"mail": 0, "chat": 2, "gone": 1}
    world.commit("b", 2, "chat")
    world.dispatcher.run_due()
    assert world.shown("tsdiff_outbox_dead") == {"mail": 0, "chat": 1, "gone": 1}
    assert store.put_back(clock.now) == 2
    assert world.shown("tsdiff_outbox_dead") == {"mail": 0, "chat": 0}


def test_an_open_circuit_is_shown_until_it_closes(store: Store, clock: FakeClock) -> None:
    """1 after a failure, also when the wait is over but nothing was tried; 0 once a delivery is taken, or refused."""
    world = World(store, clock, mail=MemoryNotifier(), chat=MemoryNotifier(failures=[BUSY, None, BUSY, REFUSED]))
    assert world.shown("tsdiff_delivery_circuit_open") == {"mail": 0, "chat": 0}
    for name in ("a", "b"):
        world.commit(name, 1, "mail", "chat")
        world.dispatcher.run_due(2)
        assert world.shown("tsdiff_delivery_circuit_open") == {"mail": 0, "chat": 1}
        clock.advance(400)
        assert world.shown("tsdiff_delivery_circuit_open") == {"mail": 0, "chat": 1}
        world.dispatcher.run_due(1)
        assert world.shown("tsdiff_delivery_circuit_open") == {"mail": 0, "chat": 0}


def test_reminders_that_fail_are_counted(store: Store, clock: FakeClock) -> None:
    """Failures and bugs alike, from 0 on, for those that want to be reminded."""
    world = World(store, clock, mail=MemoryNotifier(), pager=Lapsing(BUSY, None, ValueError("a bug")))
    world.commit("a", 1, "pager")
    world.dispatcher.run_due()
    seen = [world.shown("tsdiff_delivery_refresh_failures_total")]
    for _ in range(3):
        world.resender.run_due()
        clock.advance(60)
        seen.append(world.shown("tsdiff_delivery_refresh_failures_total"))
    assert seen == [{"pager": 0}, {"pager": 1}, {"pager": 1}, {"pager": 2}]


def test_a_store_that_cannot_be_read_costs_only_its_own_numbers(store: Store, clock: FakeClock) -> None:
    """The scrape shows the others."""
    world = World(store, clock, mail=MemoryNotifier())
    store.close()
    assert world.shown("tsdiff_outbox_dead") == {}
    assert world.shown("tsdiff_delivery_circuit_open") == {"mail": 0}
