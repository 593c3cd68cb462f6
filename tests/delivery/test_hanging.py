"""A notifier that does not return: it holds up nothing else, and its late result counts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Notifier, Receipt
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.deadline import Call
from tsdiff_monitor.testing import FakeClock, MemoryNotifier

LONG = 30.0  # real seconds that no test waits unless it fails
TIMEOUT = 60.0  # seconds of the fake clock

Commit = Callable[..., None]


class Hanging:
    """Hangs in its first call until it is released, then raises or delivers; later calls return at once."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self.calls: list[str] = []
        self.begun, self.released = threading.Event(), threading.Event()

    def notify(self, change: EventChange) -> None:
        self.calls.append(change.key)
        if len(self.calls) > 1:
            return
        self.begun.set()
        assert self.released.wait(LONG)
        if self._failure is not None:
            raise self._failure


class Lapsing(MemoryNotifier):
    """Must get its alerts again every minute; the first resends hang until they are released."""

    refresh_every = timedelta(minutes=1)
    keep_resolved = timedelta(minutes=15)

    def __init__(self, *, hangs: bool = False) -> None:
        super().__init__()
        self.hangs = hangs
        self.begun, self.released = threading.Event(), threading.Event()
        self.resent: list[list[str]] = []

    def refresh(self, changes: Sequence[EventChange]) -> None:
        self.begun.set()
        assert not self.hangs or self.released.wait(LONG)
        self.resent.append([change.key for change in changes])


class Flaky:
    """Fails at every third call; keeps receipts, and notes what it took."""

    keeps_receipts = True

    def __init__(self) -> None:
        self._calls = 0
        self.taken: list[tuple[str, Receipt | None]] = []

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        self._calls += 1
        if self._calls % 3 == 0:
            raise DeliveryError("busy", recoverable=True, reason="rate_limited")
        self.taken.append((change.key, receipt))
        return {"last": change.key}


class Recording(Turns):
    """Remembers the newest call of each notifier."""

    def __init__(self) -> None:
        super().__init__(threads=True)
        self.calls: dict[str, Call[Any]] = {}

    def start(self, name: str, function: Callable[[], Any], done: Callable[[], None] = lambda: None) -> Call[Any]:
        self.calls[name] = super().start(name, function, done)
        return self.calls[name]


class World:
    """Notifiers on threads of their own, under a clock that moves on only while none but the hanging is at work."""

    def __init__(self, store: Store, clock: FakeClock, **notifiers: Notifier) -> None:
        self.store, self.clock = store, clock
        self.attempts: list[Attempt] = []
        self.turns = Recording()
        self.resender = AlertResender(store, notifiers, now=clock, turns=self.turns)
        self._hanging = [one for one in notifiers.values() if isinstance(one, Hanging)]
        self.dispatcher = Dispatcher(
            store,
            notifiers,
            now=clock,
            random=random.Random(0),
            give_up_after=timedelta(hours=2),
            turns=self.turns,
            observe=self.attempts.append,
            sleep=clock.advance,
            wait=self._wait,
        )

    def _wait(self, returned: threading.Event, seconds: float) -> None:
        if set(self.dispatcher.hanging()) == {"stuck"} and not any(one.released.is_set() for one in self._hanging):
            self.clock.advance(seconds)
        else:
            assert returned.wait(LONG)

    def outcomes(self, notifier: str) -> list[tuple[str, str]]:
        return [(one.outcome, one.reason) for one in self.attempts if one.notifier == notifier]


@pytest.fixture
def stuck() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.released.set()


def names_of_new(before: Collection[threading.Thread]) -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread not in before)


def test_on_threads_order_and_receipts_are_kept(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Each of five notifiers gets each event's changes once and in order, with the receipt of the one before."""
    flaky = {f"flaky-{number}": Flaky() for number in range(5)}
    world = World(state, fake_clock, **flaky)
    for name in flaky:
        commit(*(f"{name}-{event}/{sequence}" for event in range(4) for sequence in (1, 2, 3)), notifier=name)
    while state.counts()["pending"]:
        world.dispatcher.run_due()
        fake_clock.advance(60)
    for name, notifier in flaky.items():
        for event in (f"{name}-{number}" for number in range(4)):
            chain = [one for one in notifier.taken if one[0].startswith(f"{event}/")]
            keys = [f"{event}/{sequence}" for sequence in (1, 2, 3)]
            assert chain == list(zip(keys, (None, {"last": keys[0]}, {"last": keys[1]}), strict=True))
    assert world.dispatcher.hanging() == []


def test_one_that_hangs_holds_up_no_other(state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging) -> None:
    """Beside it all others get what is due, in one run; its own attempt fails when its time is over, with a line."""
    good = MemoryNotifier()
    world = World(state, fake_clock, stuck=stuck, good=good)
    commit("s/1", "t/1", notifier="stuck")
    commit("a/1", "a/2", "b/1", notifier="good")
    began = fake_clock.now
    with capture_logs() as logs:
        assert world.dispatcher.run_due() == 4
    assert sorted(change.key for change in good.changes) == ["a/1", "a/2", "b/1"]
    assert fake_clock.now - began == TIMEOUT
    assert world.outcomes("stuck") == [("failed", "timeout")]
    assert [(line["notifier"], line["key"], line["reason"]) for line in logs] == [("stuck", "s/1", "timeout")]
    assert "has not answered within 60 s" in logs[0]["error"]
    assert world.dispatcher.failing() == {"stuck"} and world.dispatcher.hanging() == ["stuck"]


def test_threads_do_not_multiply(state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging) -> None:
    """For hours the hanging notifier gets nothing more, and the only thread that it costs is its own."""
    good, before = MemoryNotifier(), threading.enumerate()
    world = World(state, fake_clock, stuck=stuck, good=good)
    for number in range(50):
        commit(f"s{number}/1", notifier="stuck")
        commit(f"a{number}/1", notifier="good")
        world.dispatcher.run_due()
        fake_clock.advance(300)
    assert stuck.calls == ["s0/1"] and len(good.changes) == 50
    assert names_of_new(before) == ["notify-good", "notify-stuck"]
    assert state.counts() == {"pending": 50, "delivered": 50, "dead": 0}


def test_a_late_success_is_one(state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging) -> None:
    """A delivery that hung beyond its deadline and was made in the end is not repeated; the rest follows in order."""
    world = World(state, fake_clock, stuck=stuck)
    commit("s/1", "s/2", notifier="stuck")
    world.dispatcher.run_due()
    fake_clock.advance(600)
    stuck.released.set()
    assert world.turns.calls["stuck"].wait(LONG)
    world.dispatcher.run_due()
    assert stuck.calls == ["s/1", "s/2"]
    assert world.outcomes("stuck") == [("failed", "timeout"), ("delivered", ""), ("delivered", "")]
    assert state.counts() == {"pending": 0, "delivered": 2, "dead": 0}
    assert world.dispatcher.failing() == set() and world.dispatcher.hanging() == []


@pytest.mark.parametrize(
    ("recoverable", "hours", "status"), [(True, 1, "delivered"), (True, 3, "dead"), (False, 1, "dead")]
)
def test_a_late_failure_is_one(
    state: Store, fake_clock: FakeClock, commit: Commit, recoverable: bool, hours: int, status: str
) -> None:
    """It is tried again, unless it is too old by then or was refused; nothing is given up while it may still arrive."""
    stuck = Hanging(DeliveryError("no", recoverable=recoverable, reason="no"))
    world = World(state, fake_clock, stuck=stuck)
    commit("s/1", notifier="stuck")
    world.dispatcher.run_due()
    fake_clock.advance(3600 * hours)
    world.dispatcher.run_due()
    assert state.counts()["pending"] == 1
    stuck.released.set()
    assert world.turns.calls["stuck"].wait(LONG)
    for _ in range(3):
        world.dispatcher.run_due()
        fake_clock.advance(300)
    assert len(stuck.calls) == (2 if status == "delivered" else 1)
    assert state.counts()[status] == 1


def test_a_shutdown_does_not_wait_for_it(state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging) -> None:
    """Draining delivers the rest, and waits for the attempt until its deadline; for one that timed out not at all."""
    world = World(state, fake_clock, stuck=stuck, good=MemoryNotifier())
    commit("s/1", notifier="stuck")
    commit("a/1", notifier="good")
    began = fake_clock.now
    assert world.dispatcher.drain(began + 8.0) == 2
    assert fake_clock.now - began == 8.0 and state.counts()["delivered"] == 1
    world.dispatcher.run_due()
    commit("a/2", notifier="good")
    began = fake_clock.now
    assert world.dispatcher.drain(began + 8.0) == 1
    assert fake_clock.now == began and state.counts()["delivered"] == 2


def test_a_run_of_the_daemon_leaves_a_slow_attempt_alone(
    state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging
) -> None:
    """It waits for ``patience``, no longer; a later run settles what has become of the attempt."""
    world = World(state, fake_clock, stuck=stuck)
    commit("s/1", notifier="stuck")
    began = fake_clock.now
    assert world.dispatcher.drain(began + 5.0, patience=0.5) == 1
    assert fake_clock.now - began == 0.5
    stuck.released.set()
    assert world.turns.calls["stuck"].wait(LONG)
    assert world.dispatcher.drain(fake_clock.now + 5.0, patience=0.5) == 0
    assert state.counts()["delivered"] == 1 and world.outcomes("stuck") == [("delivered", "")]


def test_resends_go_on(state: Store, fake_clock: FakeClock, commit: Commit, stuck: Hanging) -> None:
    """While a delivery of one notifier hangs, and the resend of another, a third one's alerts are kept alive."""
    pager, slow = Lapsing(), Lapsing(hangs=True)
    world = World(state, fake_clock, stuck=stuck, pager=pager, slow=slow)
    world.resender.run_due()
    commit("a/1", notifier="pager")
    commit("b/1", notifier="slow")
    world.dispatcher.run_due()
    commit("s/1", notifier="stuck")
    world.dispatcher.run_due()
    with capture_logs() as logs:
        for _ in range(5):
            fake_clock.advance(60)
            world.resender.run_due()
            assert slow.begun.wait(LONG)
            assert world.turns.calls["pager"].wait(LONG)
            world.resender.run_due()
    assert pager.resent == [["a/1"]] * 5
    assert world.resender.failures == {"pager": 0, "slow": 1}
    assert [(line["notifier"], line["reason"]) for line in logs] == [("slow", "timeout")]
    slow.released.set()
    world.resender.finish(LONG)
    assert world.resender.failures == {"pager": 0, "slow": 1} and slow.resent == [["b/1"]]


def test_a_notifier_has_one_call_at_a_time(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """A delivery waits for the resend under way, which might bring back what it resolves, and a resend for it."""
    pager = Lapsing(hangs=True)
    world = World(state, fake_clock, pager=pager)
    world.resender.run_due()
    commit("a/1", notifier="pager")
    world.dispatcher.run_due()
    fake_clock.advance(60)
    assert world.resender.run_due() == 1
    commit("a/2", notifier="pager")
    assert world.dispatcher.run_due() == 0
    pager.released.set()
    world.resender.finish(LONG)
    assert world.dispatcher.run_due() == 1
    assert world.turns.take("pager")
    fake_clock.advance(60)
    assert world.resender.run_due() == 0
    world.turns.give_back("pager")
    assert not world.turns.take("pager")  # the resend is next
    assert world.resender.run_due() == 1
    world.resender.finish(LONG)
    assert pager.resent == [["a/1"], ["a/2"]]


def test_after_a_start_the_resend_comes_first(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """A notifier whose alerts lapse gets what it was sent before the restart, before anything new."""
    before = World(state, fake_clock, pager=Lapsing())
    before.resender.run_due()
    commit("a/1", notifier="pager")
    before.dispatcher.run_due()
    commit("b/1", notifier="pager")
    pager = Lapsing()
    after = World(state, fake_clock, pager=pager)
    assert after.dispatcher.run_due() == 0
    assert after.resender.run_due() == 1
    after.resender.finish(LONG)
    assert after.dispatcher.run_due() == 1
    assert pager.resent == [["a/1"]] and [change.key for change in pager.changes] == ["b/1"]
