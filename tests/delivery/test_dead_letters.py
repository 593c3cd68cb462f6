"""Deliveries that were given up, and how they get another try."""

from __future__ import annotations

import random
from collections.abc import Callable

import pandas as pd
import pytest

from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, MemoryNotifier

Commit = Callable[..., None]

REFUSED = DeliveryError("the token was revoked", recoverable=False, reason="auth")
BUSY = DeliveryError("slow down", recoverable=True, reason="rate_limited")


@pytest.fixture
def inbox() -> MemoryNotifier:
    """Refuses the first two changes for good, then takes all."""
    return MemoryNotifier(failures=[REFUSED, REFUSED])


@pytest.fixture
def dispatcher(state: Store, fake_clock: FakeClock, inbox: MemoryNotifier) -> Dispatcher:
    return Dispatcher(state, {"inbox": inbox}, now=fake_clock, random=random.Random(0))


def sent(inbox: MemoryNotifier) -> list[str]:
    return [change.key for change in inbox.changes]


def test_what_has_not_arrived_is_reported_with_its_reason(
    state: Store, fake_clock: FakeClock, commit: Commit, inbox: MemoryNotifier
) -> None:
    """Dead and pending deliveries with attempts, times and the notifier's words; delivered ones are not among them."""
    inbox = MemoryNotifier(failures=[REFUSED, None, BUSY])
    commit("a/1", "b/1", "c/1", "d/1")
    Dispatcher(state, {"inbox": inbox}, now=fake_clock, random=random.Random(0)).run_due()
    dead, failed, waiting = state.undelivered()
    assert (dead.status, dead.change.key, dead.reason, dead.message) == ("dead", "a/1", "auth", str(REFUSED))
    assert (dead.attempts, dead.finished, dead.overtaken) == (1, fake_clock.now, False)
    assert (failed.status, failed.change.key, failed.reason, failed.attempts) == ("pending", "c/1", "rate_limited", 1)
    assert failed.next_attempt > fake_clock.now
    assert (waiting.change.key, waiting.attempts, waiting.reason) == ("d/1", 0, None)
    assert state.undelivered(only_dead=True) == [dead]


def test_dead_deliveries_get_another_try(
    state: Store, fake_clock: FakeClock, commit: Commit, inbox: MemoryNotifier, dispatcher: Dispatcher
) -> None:
    """Once the cause is fixed they arrive, an event's changes in order, however old they are by now."""
    commit("a/1", "a/2")
    dispatcher.run_due()
    assert state.counts()["dead"] == 2
    fake_clock.advance(30 * 86400)
    assert state.put_back(fake_clock.now) == 2
    assert {one.created for one in state.undelivered()} == {fake_clock.now}
    dispatcher.run_due()
    assert sent(inbox) == ["a/1", "a/2"]
    assert state.undelivered() == []


def test_only_the_chosen_are_put_back(
    state: Store, fake_clock: FakeClock, commit: Commit, inbox: MemoryNotifier, dispatcher: Dispatcher
) -> None:
    """By their numbers; numbers of deliveries that are not dead change nothing."""
    commit("a/1", "b/1", "c/1")
    dispatcher.run_due()
    dead = state.undelivered(only_dead=True)
    assert state.put_back(fake_clock.now, [dead[1].id, 3, 99]) == 1
    dispatcher.run_due()
    assert sent(inbox) == ["c/1", "b/1"]
    assert state.counts() == {"pending": 0, "delivered": 2, "dead": 1}


def test_what_was_overtaken_stays_dead(
    state: Store, fake_clock: FakeClock, commit: Commit, inbox: MemoryNotifier, dispatcher: Dispatcher
) -> None:
    """A notifier that was sent the end of an event is not sent its beginning afterwards."""
    commit("a/1", "a/2")
    commit("a/3", end=pd.Timestamp("2026-03-01T00:30:00Z"))
    dispatcher.run_due()
    assert sent(inbox) == ["a/3"]
    assert [one.overtaken for one in state.undelivered()] == [True, True]
    assert state.put_back(fake_clock.now) == 0
    dispatcher.run_due()
    assert sent(inbox) == ["a/3"]
