"""The dispatcher's promises: at least once, in order, and no notifier suffers from another."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tsdiff_monitor.delivery.backoff import LONGEST, delivery_backoff
from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.errors import DeliveryError, StoreError
from tsdiff_monitor.events.event import Change, Event, EventChange, Severity
from tsdiff_monitor.plugins import Receipt
from tsdiff_monitor.store.store import Store

T0 = pd.Timestamp("2026-03-01T00:00:00Z")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Scripted:
    """A notifier that raises what its script says, one entry per call, then delivers."""

    def __init__(self, *script: Exception | None, on_call: Callable[[], None] = lambda: None) -> None:
        self.script = list(script)
        self.on_call = on_call
        self.calls: list[str] = []
        self.delivered: list[str] = []

    def notify(self, change: EventChange) -> None:
        self.calls.append(change.key)
        self.on_call()
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure
        self.delivered.append(change.key)


def busy(retry_after: float | None = None) -> DeliveryError:
    return DeliveryError("slow down", recoverable=True, reason="rate_limited", retry_after=retry_after)


REFUSED = DeliveryError("no such channel", recoverable=False, reason="not_found")


def add(store: Store, *keys: str, notifiers: tuple[str, ...] = ("slack",)) -> None:
    """Commit changes named like ``a/1``."""
    for key in keys:
        name, sequence = key.split("/")
        event = Event(name, "hosts", (), T0, T0, T0, None, 2.0, T0, Severity.info, ())
        change = EventChange(Change.opened if sequence == "1" else Change.updated, event, int(sequence))
        store.commit("hosts", (), T0, {}, [change], notifiers)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(tmp_path / "state.db", now=clock) as opened:
        yield opened


def make(store: Store, clock: Clock, seen: list[Attempt] | None = None, **notifiers: Scripted) -> Dispatcher:
    observe = (lambda _: None) if seen is None else seen.append
    return Dispatcher(
        store,
        notifiers,
        now=clock,
        random=random.Random(7),
        give_up_after=timedelta(hours=1),
        observe=observe,
    )


def test_changes_are_delivered_once_and_in_order(store: Store, clock: Clock) -> None:
    """Each change reaches each notifier, an event's changes in order, and is not sent again."""
    slack, console = Scripted(), Scripted()
    add(store, "a/1", "a/2", "b/1", "a/3", notifiers=("slack", "console"))
    dispatcher = make(store, clock, slack=slack, console=console)
    assert dispatcher.run_due() == 8
    assert dispatcher.run_due() == 0
    for notifier in (slack, console):
        assert sorted(notifier.delivered) == ["a/1", "a/2", "a/3", "b/1"]
        assert [key for key in notifier.delivered if key.startswith("a")] == ["a/1", "a/2", "a/3"]
    assert store.counts() == {"pending": 0, "delivered": 8, "dead": 0}


def test_a_run_is_bounded(store: Store, clock: Clock) -> None:
    """A run attempts at most ``limit`` deliveries; the next takes up the rest."""
    add(store, *(f"e{n}/1" for n in range(5)))
    dispatcher = make(store, clock, slack=Scripted())
    assert [dispatcher.run_due(limit=3), dispatcher.run_due(limit=3)] == [3, 2]


def test_a_failure_is_retried_until_it_succeeds(store: Store, clock: Clock) -> None:
    """A recoverable failure is tried again, later and later, and later changes of the event wait for it."""
    slack = Scripted(*[busy()] * 4)
    add(store, "a/1", "a/2")
    dispatcher = make(store, clock, slack=slack)
    while store.counts()["pending"]:
        dispatcher.run_due()
        clock.seconds += 1.0
    assert slack.calls == ["a/1"] * 5 + ["a/2"]
    assert clock.seconds <= 1000 + 2 + 4 + 8 + 16 + 5


def test_retry_after_holds_for_the_whole_notifier(store: Store, clock: Clock) -> None:
    """A notifier that asks for a minute's rest is left alone, with all deliveries; then all of them arrive."""
    slack = Scripted(busy(retry_after=60.0))
    add(store, "a/1", "b/1", "c/1")
    dispatcher = make(store, clock, slack=slack)
    assert dispatcher.run_due() == 1
    clock.seconds += 59.9
    add(store, "d/1")
    assert dispatcher.run_due() == 0
    clock.seconds += 0.2
    dispatcher.run_due()
    assert sorted(slack.delivered) == ["a/1", "b/1", "c/1", "d/1"]


def test_a_failing_notifier_does_not_delay_another(store: Store, clock: Clock) -> None:
    """However many deliveries of a broken notifier are due, the others' go out in the same run."""
    broken, good = Scripted(*[busy()] * 1000), Scripted()
    add(store, *(f"e{n:03}/1" for n in range(150)), notifiers=("broken",))
    add(store, "a/1", "b/1", notifiers=("good",))
    assert make(store, clock, broken=broken, good=good).run_due(limit=10) == 3
    assert good.delivered == ["a/1", "b/1"] and len(broken.calls) == 1


def test_one_poisonous_change_does_not_block_the_rest(store: Store, clock: Clock) -> None:
    """A change that a notifier can never digest does not keep that notifier from its other changes."""

    class Choking(Scripted):
        def notify(self, change: EventChange) -> None:
            if change.event.id == "poison":
                raise busy()
            super().notify(change)

    choking = Choking()
    add(store, "poison/1", *(f"e{n}/1" for n in range(20)))
    dispatcher = make(store, clock, slack=choking)
    dispatcher.run_due()
    clock.seconds += 2.0
    dispatcher.run_due()
    assert len(choking.delivered) == 20 and store.counts()["pending"] == 1


def test_a_lasting_outage_is_probed_less_and_less(store: Store, clock: Clock) -> None:
    """A notifier that is down is asked rarely however much is waiting, and catches up once it is back."""
    slack = Scripted(*[busy()] * 12)
    add(store, *(f"e{n:02}/1" for n in range(40)))
    dispatcher = make(store, clock, slack=slack)
    for _ in range(600):
        dispatcher.run_due()
        clock.seconds += 1.0
    assert len(slack.calls) <= 12
    for _ in range(2000):
        dispatcher.run_due()
        clock.seconds += 1.0
    assert len(slack.delivered) == 40


def test_an_unrecoverable_failure_is_given_up_at_once(store: Store, clock: Clock) -> None:
    """A refusal is final: logged with its key and reason, never retried, and the event's next change is tried."""
    slack = Scripted(REFUSED)
    add(store, "a/1", "a/2")
    with capture_logs() as logs:
        make(store, clock, slack=slack).run_due()
    assert slack.calls == ["a/1", "a/2"] and slack.delivered == ["a/2"]
    (line,) = logs
    assert (line["log_level"], line["key"], line["reason"]) == ("error", "a/1", "not_found")
    assert store.counts() == {"pending": 0, "delivered": 1, "dead": 1}


def test_a_delivery_that_grows_too_old_is_given_up(store: Store, clock: Clock) -> None:
    """After ``give_up_after`` a failing delivery is dead, but even the oldest one is attempted once."""
    add(store, "a/1", "b/1")
    slack = Scripted(busy())
    dispatcher = make(store, clock, slack=slack)
    clock.seconds += 7200.0
    dispatcher.run_due()
    assert store.counts() == {"pending": 1, "delivered": 0, "dead": 1}
    clock.seconds += 10.0
    dispatcher.run_due()
    assert slack.delivered == ["b/1"]


def test_after_a_start_nothing_is_given_up_at_once(store: Store, clock: Clock) -> None:
    """However long the process was down, old deliveries are tried for an hour, or for ``give_up_after`` if shorter."""
    add(store, "a/1")
    clock.seconds += 1e6
    dispatcher = make(store, clock, slack=Scripted(*[busy()] * 1000))
    began = clock.seconds
    while store.counts()["pending"]:
        dispatcher.run_due()
        clock.seconds += 1.0
    assert 3600 - LONGEST < clock.seconds - began < 3600 + 2 * LONGEST
    assert store.counts()["dead"] == 1


def test_a_notifier_with_a_bug_stops_no_one(store: Store, clock: Clock) -> None:
    """Any exception is a failure to be retried; its text stays out of the log, since it may hold a secret."""
    buggy, good = Scripted(KeyError("token=s3cret")), Scripted()
    add(store, "a/1", notifiers=("buggy", "good"))
    dispatcher = make(store, clock, buggy=buggy, good=good)
    with capture_logs() as logs:
        dispatcher.run_due()
    assert good.delivered == ["a/1"]
    assert logs[0]["reason"] == "bug" and "KeyError" in logs[0]["error"] and "s3cret" not in str(logs)
    clock.seconds += 2.0
    dispatcher.run_due()
    assert buggy.delivered == ["a/1"]


def test_deliveries_for_a_removed_notifier_are_given_up(store: Store, clock: Clock) -> None:
    """A notifier that left the configuration leaves no deliveries that wait for ever."""
    seen: list[Attempt] = []
    add(store, "a/1", notifiers=("gone",))
    make(store, clock, seen).run_due()
    assert [(attempt.outcome, attempt.reason) for attempt in seen] == [("dead", "unknown_notifier")]
    assert store.counts()["dead"] == 1


def test_every_attempt_is_observed(store: Store, clock: Clock) -> None:
    """Metrics hear of each attempt with notifier, outcome, reason, the time it took and the change's age."""
    seen: list[Attempt] = []

    def slow() -> None:
        clock.seconds += 0.5

    add(store, "a/1")
    dispatcher = make(store, clock, seen, slack=Scripted(busy(retry_after=10.0), on_call=slow))
    dispatcher.run_due()
    clock.seconds += 10.0
    dispatcher.run_due()
    assert seen == [
        Attempt("slack", "failed", "rate_limited", 0.5, 0.5),
        Attempt("slack", "delivered", "", 0.5, 11.0),
    ]


def test_drain_stops_at_its_deadline(store: Store, clock: Clock) -> None:
    """Shutting down takes no longer than allowed: what is not sent by then stays for the next start."""

    def slow() -> None:
        clock.seconds += 10.0

    slack = Scripted(on_call=slow)
    add(store, *(f"e{n}/1" for n in range(9)))
    assert make(store, clock, slack=slack).drain(clock.seconds + 25.0) == 3
    assert store.counts() == {"pending": 6, "delivered": 3, "dead": 0}


def test_drain_ends_when_nothing_is_due(store: Store, clock: Clock) -> None:
    """Drain sends all that is due and does not wait for retries."""
    slack = Scripted(busy())
    add(store, *(f"e{n:03}/1" for n in range(250)), notifiers=("console",))
    add(store, "a/1")
    assert make(store, clock, slack=slack, console=Scripted()).drain(clock.seconds + 1e9) == 251
    assert store.counts() == {"pending": 1, "delivered": 250, "dead": 0}


def test_drain_does_not_wait_for_a_hanging_run(store: Store, clock: Clock) -> None:
    """While another thread hangs in a notifier, drain gives up at its deadline instead of hanging too."""
    inside, release = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        assert release.wait(30)

    add(store, "a/1")
    dispatcher = make(store, clock, slack=Scripted(on_call=hang))
    thread = threading.Thread(target=dispatcher.run_due)
    thread.start()
    assert inside.wait(30)
    assert dispatcher.drain(clock.seconds + 0.01) == 0
    release.set()
    thread.join()
    assert store.counts()["delivered"] == 1


def test_a_store_that_fails_does_not_repeat_messages(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a success cannot be saved, nothing is sent; once it can, the message is not sent a second time."""

    def full(delivery_id: int, now: float, receipt: Receipt | None) -> None:
        raise StoreError("the disk is full")

    slack = Scripted()
    add(store, "a/1", "b/1")
    dispatcher = make(store, clock, slack=slack)
    with monkeypatch.context() as patch:
        patch.setattr(store, "mark_delivered", full)
        for _ in range(3):
            with pytest.raises(StoreError, match="full"):
                dispatcher.run_due()
    dispatcher.run_due()
    assert slack.calls == ["a/1", "b/1"] and store.counts()["delivered"] == 2


@given(st.integers(1, 10_000), st.none() | st.floats(0, 1e6), st.integers())
def test_backoff_is_bounded(failures: int, retry_after: float | None, seed: int) -> None:
    """At least a second, at most five minutes, never more than doubling, and never shorter than asked for."""
    wait = delivery_backoff(random.Random(seed)).pause(failures, retry_after)
    asked = retry_after or 0.0
    assert max(1.0, asked) <= wait <= max(min(LONGEST, 2.0**failures if failures < 20 else LONGEST), asked)
