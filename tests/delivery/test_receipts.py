"""Notifiers that must know what they sent before, that keep a pace, or whose alerts lapse."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from structlog.testing import capture_logs

from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.errors import DeliveryError, StoreError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Notifier, Receipt, ReceiptKeeper, Refresher
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock

Commit = Callable[..., None]


class Keeper:
    """Posts and keeps the post's number."""

    keeps_receipts = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, Receipt | None]] = []

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        self.seen.append((change.key, receipt))
        return None if change.sequence == 2 else {"post": str(change.sequence)}


class Slow:
    """Wants two seconds between messages."""

    pace = 2.0

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.at: list[float] = []

    def notify(self, change: EventChange) -> None:
        self.at.append(self.clock.now)


class Lapsing:
    """Must be reminded every minute."""

    refresh_every = timedelta(minutes=1)
    keep_resolved = timedelta(minutes=15)

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.reminded: list[list[str]] = []

    def notify(self, change: EventChange) -> None:
        """Taken."""

    def refresh(self, changes: Sequence[EventChange]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.reminded.append([change.key for change in changes])


def dispatcher(store: Store, clock: FakeClock, notifier: Notifier) -> Dispatcher:
    return Dispatcher(store, {"inbox": notifier}, now=clock, random=random.Random(0), sleep=clock.advance)


def test_examples_are_what_the_contracts_say(fake_clock: FakeClock) -> None:
    """The notifiers here are of the kinds that they stand for."""
    assert isinstance(Keeper(), ReceiptKeeper)
    assert isinstance(Lapsing(), Refresher)
    assert not isinstance(Slow(fake_clock), Refresher)


def test_a_receipt_comes_back_with_the_next_change(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Each event has its own; a delivery that returns none keeps the old one; another notifier's is not shown."""
    keeper = Keeper()
    commit("a/1", "a/2", "a/3", "b/1")
    dispatcher(state, fake_clock, keeper).run_due()
    assert sorted(keeper.seen, key=lambda one: one[0]) == [
        ("a/1", None),
        ("a/2", {"post": "1"}),
        ("a/3", {"post": "1"}),
        ("b/1", None),
    ]
    assert state.receipt("a", "inbox") == {"post": "3"}
    assert state.receipt("a", "other") is None


def test_receipts_outlive_the_process(tmp_path: Path, state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """A place's own name for an event is known after a restart."""
    commit("a/1")
    dispatcher(state, fake_clock, Keeper()).run_due()
    state.close()
    with Store(tmp_path / "state.db", now=fake_clock) as again:
        assert again.receipt("a", "inbox") == {"post": "1"}


def test_a_receipt_that_could_not_be_saved_is_saved_later(
    state: Store, fake_clock: FakeClock, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store fails nothing more is sent, and when it works the message is not posted a second time."""
    keeper = Keeper()
    commit("a/1")
    working = dispatcher(state, fake_clock, keeper)

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(state, "mark_delivered", full)
        with pytest.raises(StoreError):
            working.run_due()
    working.run_due()
    assert len(keeper.seen) == 1
    assert state.receipt("a", "inbox") == {"post": "1"}


def test_a_pace_is_kept(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Draining waits between two messages as long as the notifier wants, and no longer than its deadline."""
    slow = Slow(fake_clock)
    commit("a/1", "b/1", "c/1", "d/1")
    began = fake_clock.now
    assert dispatcher(state, fake_clock, slow).drain(began + 5) == 3
    assert [at - began for at in slow.at] == [0, 2, 4]
    assert fake_clock.now == began + 4


def test_a_run_does_not_wait_for_a_pace(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """One message a run; the next run sends the next one when its time has come, not before."""
    slow = Slow(fake_clock)
    commit("a/1", "b/1")
    paced = dispatcher(state, fake_clock, slow)
    assert (paced.run_due(), paced.run_due()) == (1, 0)
    fake_clock.advance(2)
    assert paced.run_due() == 1


def test_reminders_name_what_was_sent(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Open events and those that ended a short while ago, each with the newest change that was delivered."""
    lapsing = Lapsing()
    now = pd.Timestamp(fake_clock.now, unit="s", tz="UTC")
    commit("a/1", "a/2", "open/1", "long_over/1", "just_over/1")
    dispatcher(state, fake_clock, lapsing).run_due()
    commit("a/3")  # no one was notified yet
    commit("long_over/2", end=now - pd.Timedelta("16min"))
    commit("just_over/2", end=now - pd.Timedelta("14min"))
    AlertResender(state, {"inbox": lapsing}, now=fake_clock).run_due()
    assert lapsing.reminded == [["a/2", "just_over/1", "open/1"]]


def test_reminders_come_as_often_as_asked(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Not twice within the minute; a clock that was put back does not stop them; nothing to say is not said."""
    lapsing = Lapsing()
    reminders = AlertResender(state, {"inbox": lapsing}, now=fake_clock)
    assert reminders.run_due() == 0
    commit("a/1")
    dispatcher(state, fake_clock, lapsing).run_due()
    made = []
    for seconds in (59, 1, 30, -3600):
        fake_clock.advance(seconds)
        made.append(reminders.run_due())
    assert made == [0, 1, 0, 1]


def test_a_reminder_that_fails_is_logged_and_tried_again(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """A failure or a bug of one notifier stops nothing; an unknown exception's own text is not shown."""
    down = DeliveryError("cannot reach it", recoverable=True, reason="connect")
    lapsing = Lapsing(down, RuntimeError("token hunter2"))
    commit("a/1")
    dispatcher(state, fake_clock, lapsing).run_due()
    reminders = AlertResender(state, {"inbox": lapsing}, now=fake_clock)
    with capture_logs() as logs:
        for _ in range(3):
            reminders.run_due()
            fake_clock.advance(60)
    assert lapsing.reminded == [["a/1"]]
    assert [entry["reason"] for entry in logs] == ["connect", "bug"]
    assert "hunter2" not in str(logs)
