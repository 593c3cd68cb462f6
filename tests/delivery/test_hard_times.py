"""Hard times that delivery survives: an outage of a day, clocks that jump, a store that cannot be written."""

from __future__ import annotations

import random
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.errors import DeliveryError, StoreError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, example_event

DAY = 86400.0
HOUR = 3600.0

Commit = Callable[..., None]


class Place:
    """Answers only while it is up; notes when it was asked."""

    def __init__(self, clock: FakeClock, *, up: bool = True) -> None:
        self.clock = clock
        self.up = up
        self.asked: list[float] = []
        self.sent: list[str] = []

    def notify(self, change: EventChange) -> None:
        self.asked.append(self.clock.now)
        if not self.up:
            raise DeliveryError("no answer", recoverable=True, reason="connect")
        self.sent.append(change.key)


@pytest.fixture
def timer() -> FakeClock:
    """Seconds since the machine's start: no change of the clock touches them."""
    return FakeClock(0.0)


def make(store: Store, wall: FakeClock, timer: FakeClock, place: Place, **options: Any) -> Dispatcher:
    return Dispatcher(store, {"inbox": place}, now=wall, timer=timer, random=random.Random(3), **options)


def run(dispatcher: Dispatcher, seconds: float, *clocks: FakeClock, every: float = 1.0) -> None:
    for _ in range(round(seconds / every)):
        dispatcher.run_due()
        for clock in clocks:
            clock.advance(every)


def test_a_place_that_is_down_for_a_day(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """Nothing is lost, the order of each event is kept, and the place is asked every few minutes, no more."""
    place = Place(fake_clock, up=False)
    dispatcher = make(state, fake_clock, fake_clock, place)
    keys = [f"e{n:02}/{sequence}" for n in range(48) for sequence in (1, 2)]
    for key in keys:
        commit(key)
        run(dispatcher, DAY / len(keys), fake_clock, every=15.0)
    assert place.sent == []
    assert DAY / 300 < len(place.asked) < DAY / 120
    place.up = True
    run(dispatcher, 600, fake_clock)
    assert sorted(place.sent) == keys
    assert all(place.sent.index(f"e{n:02}/1") < place.sent.index(f"e{n:02}/2") for n in range(48))
    assert state.counts() == {"pending": 0, "delivered": len(keys), "dead": 0}


def test_after_an_outage_one_delivery_probes(state: Store, fake_clock: FakeClock, commit: Commit) -> None:
    """While no one answers, each try costs one message; the first that is taken opens the way for all, with a line."""
    place = Place(fake_clock, up=False)
    dispatcher = make(state, fake_clock, fake_clock, place)
    commit(*(f"e{n:02}/1" for n in range(30)))
    run(dispatcher, 60, fake_clock)
    assert len(set(place.asked)) == len(place.asked) > 2
    tried, place.up = len(place.asked), True
    with capture_logs() as logs:
        run(dispatcher, 120, fake_clock)
    assert len(set(place.asked[tried:])) <= 2
    assert len(place.sent) == 30
    assert [(line["event"], line["failures"]) for line in logs] == [("notifier is back", tried)]


@pytest.mark.parametrize("jump", [-DAY, -HOUR, -60.0])
def test_a_clock_that_is_put_back_stalls_nothing(
    state: Store, fake_clock: FakeClock, timer: FakeClock, commit: Commit, jump: float
) -> None:
    """Retries come when they would have come, within five minutes, not when the old time is reached again."""
    place = Place(fake_clock, up=False)
    dispatcher = make(state, fake_clock, timer, place)
    commit("a/1", "b/1")
    run(dispatcher, 10, fake_clock, timer)
    fake_clock.advance(jump)
    place.up = True
    commit("c/1")
    run(dispatcher, 300, fake_clock, timer)
    assert sorted(place.sent) == ["a/1", "b/1", "c/1"]


def test_a_clock_that_was_put_back_before_the_start(
    state: Store, fake_clock: FakeClock, timer: FakeClock, commit: Commit
) -> None:
    """Another process set the retry's time by a clock that went a week ahead: it is tried at once."""
    fake_clock.advance(7 * DAY)
    place = Place(fake_clock, up=False)
    commit("a/1")
    run(make(state, fake_clock, timer, place), 100, fake_clock, timer)
    fake_clock.advance(-7 * DAY)
    place.up = True
    make(state, fake_clock, timer, place).run_due()
    assert place.sent == ["a/1"]


def test_a_clock_that_is_put_forward_buries_nothing(
    state: Store, fake_clock: FakeClock, timer: FakeClock, commit: Commit
) -> None:
    """By a year, while a place is down: what waits is as old as before, and is given up when it is due."""
    place = Place(fake_clock, up=False)
    seen: list[Attempt] = []
    dispatcher = make(state, fake_clock, timer, place, give_up_after=timedelta(hours=3), observe=seen.append)
    commit("a/1")
    run(dispatcher, 2 * HOUR, fake_clock, timer, every=5.0)
    fake_clock.advance(365 * DAY)
    commit("new/1")
    with capture_logs() as logs:
        run(dispatcher, 0.8 * HOUR, fake_clock, timer, every=5.0)
    assert [line["seconds"] for line in logs if "put forward" in line["event"]] == [round(365 * DAY)]
    assert state.counts() == {"pending": 2, "delivered": 0, "dead": 0}
    assert max(attempt.age for attempt in seen) < 3 * HOUR
    run(dispatcher, HOUR, fake_clock, timer, every=5.0)
    assert state.counts() == {"pending": 1, "delivered": 0, "dead": 1}
    place.up = True
    run(dispatcher, 600, fake_clock, timer)
    assert place.sent == ["new/1"]


def test_a_clock_that_drifts_is_no_jump(state: Store, fake_clock: FakeClock, timer: FakeClock, commit: Commit) -> None:
    """A clock that is slewed back into place makes nothing younger, however far it goes in all."""
    place = Place(fake_clock, up=False)
    dispatcher = make(state, fake_clock, timer, place, give_up_after=timedelta(hours=1))
    commit("a/1")
    for _ in range(800):
        dispatcher.run_due()
        fake_clock.advance(5.5)
        timer.advance(5.0)
    assert state.counts()["dead"] == 1


def test_drain_ends_though_the_clock_is_put_back(
    state: Store, fake_clock: FakeClock, timer: FakeClock, commit: Commit
) -> None:
    """The deadline of a shutdown is so many seconds away, no matter what the clock shows meanwhile."""

    class Slow(Place):
        def notify(self, change: EventChange) -> None:
            super().notify(change)
            timer.advance(2.0)
            fake_clock.advance(-DAY)

    slow = Slow(fake_clock)
    commit(*(f"e{n}/1" for n in range(9)))
    assert make(state, fake_clock, timer, slow).drain(fake_clock.now + 5.0) == 3


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file may grow beyond the size of the store's journal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(f"{path.name}-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes, and takes its time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("trouble", [full_disk, locked])
@pytest.mark.parametrize("outcome", ["delivered", "failed", "dead"])
def test_a_store_that_cannot_be_written(
    tmp_path: Path, trouble: Callable[[Path], AbstractContextManager[None]], outcome: str
) -> None:
    """With a full disk, or a lock held by another program, no one is notified twice or asked again and again.

    Once it can be written, what became of the delivery is kept, and the others follow.
    """
    path, clock = tmp_path / "state.db", FakeClock()
    failure = None if outcome == "delivered" else DeliveryError("no", recoverable=outcome == "failed", reason="no")
    inbox = MemoryNotifier(failures=[failure])
    with Store(path, now=clock, busy_timeout=0.01) as store:
        for name in ("a", "b"):
            event = example_event(id=name)
            store.commit("hosts", (), event.last, {}, [EventChange(Change.opened, event, 1)], ["inbox"])
        dispatcher = Dispatcher(store, {"inbox": inbox}, now=clock, random=random.Random(0))
        with trouble(path):
            for _ in range(5):
                with pytest.raises(StoreError, match=r"check the disk|locked by another process"):
                    dispatcher.run_due()
                clock.advance(60)
        assert len(inbox.attempts) == 1
        for _ in range(5):
            dispatcher.run_due()
            clock.advance(60)
        keys = [change.key for change in inbox.attempts]
        assert sorted(keys) == (["a/1", "a/1", "b/1"] if outcome == "failed" else ["a/1", "b/1"])
        dead = int(outcome == "dead")
        assert store.counts() == {"pending": 0, "delivered": 2 - dead, "dead": dead}
