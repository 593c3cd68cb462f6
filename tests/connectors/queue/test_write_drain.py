"""Rows that wait reach their target: when they are tried, what is given up, what is counted and said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.connectors.queue.test_bisecting import failure
from tsdiff_connectors.queue.drain import Drain
from tsdiff_connectors.queue.queue import WriteQueue
from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_connectors.queue.series import SERIES, score_rows
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, example_batch

TICKS = 1_000


class FakeTarget:
    """Keeps samples; ``problem`` says whether a request fails."""

    def __init__(self) -> None:
        self.problem: Callable[[Samples], HttpFailure | None] = lambda samples: None
        self.rows: list[tuple[Labels, int, float]] = []
        self.requests: list[int] = []
        self.closed = 0

    def send(self, samples: Samples, *, retry: bool) -> None:
        self.requests.append(len(samples))
        if error := self.problem(samples):
            raise error
        for labels, times, values in samples:
            self.rows += [(labels, time, value) for time, value in zip(times.tolist(), values.tolist(), strict=True)]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_714_600_000.0)


@pytest.fixture
def target() -> FakeTarget:
    return FakeTarget()


@pytest.fixture
def queue(clock: FakeClock) -> Iterator[WriteQueue]:
    made = WriteQueue(None, max_bytes=1 << 28, now=clock)
    yield made
    made.close()


@pytest.fixture
def drain(queue: WriteQueue, target: FakeTarget, clock: FakeClock) -> Drain:
    context = Context(name="scores", now=clock, random=random.Random(0))
    return Drain(queue, target, context, max_samples=5_000, give_up_after=timedelta(hours=1))


def put(queue: WriteQueue, minute: int = 0, instance: str = "web-1") -> int:
    """The samples of one row; how many."""
    start = np.datetime_as_string(np.datetime64("2024-05-01T00:00") + np.timedelta64(minute, "m"))
    batch = example_batch(2, group=(("instance", instance),), start=f"{start}:00Z", expected=False)
    return queue.put(score_rows(batch, SERIES, {}).rows(slice(1, 2))).samples


def test_down_for_a_thousand_ticks(queue: WriteQueue, drain: Drain, target: FakeTarget, clock: FakeClock) -> None:
    """All rows of the outage arrive afterwards, each once, in order, in few requests; the pauses were kept."""
    target.problem = lambda samples: failure(503)
    waiting = 0
    with capture_logs() as logs:
        for minute in range(TICKS):
            waiting += put(queue, minute)
            clock.advance(60)
            if not drain.pause():
                assert not drain.step()
        assert drain.counts["failures"] == len(target.requests)
        assert TICKS / 6 < drain.counts["failures"] < TICKS
        target.problem = lambda samples: None
        clock.advance(drain.pause())
        target.requests.clear()
        while drain.step():
            pass
    assert len(target.requests) <= 4
    assert drain.counts["written"] == len(target.rows) == waiting == 7 * TICKS
    assert len({(labels, time) for labels, time, _ in target.rows}) == waiting
    by_series: dict[Labels, list[int]] = {}
    for labels, time, _ in target.rows:
        by_series.setdefault(labels, []).append(time)
    assert all(times == sorted(times) for times in by_series.values())
    assert [log["event"] for log in logs] == [
        "scores wait: they cannot be written",
        "scores are written again",
    ]
    assert (drain.failing, drain.pause()) == ("", 0.0)


def test_retry_after_is_honoured(queue: WriteQueue, drain: Drain, target: FakeTarget, clock: FakeClock) -> None:
    """The target is left alone for as long as it asks, within an hour, under any jumps of the clock."""
    put(queue)
    error = failure(429)
    error.retry_after = 120.0
    target.problem = lambda samples: error
    drain.step()
    assert 120 <= drain.pause() <= 121
    error.retry_after = 1e9
    drain.step()
    assert drain.pause() == 3600
    clock.advance(-1e6)
    assert drain.pause() == 3600
    assert drain.failing == "rate_limited"


def test_nothing_waits(drain: Drain, target: FakeTarget) -> None:
    """An empty queue asks nothing of the target."""
    assert not drain.step()
    assert (target.requests, drain.pause()) == ([], 0.0)


def test_wrong_credentials_are_said_and_nothing_is_lost(queue: WriteQueue, drain: Drain, target: FakeTarget) -> None:
    """A 401 is for a person to fix: the rows wait for that, and it is said once, with the remedy."""
    count = put(queue)
    error = HttpFailure("http://h: answered 401; check `basic_auth` or `authorization`", reason="auth", status=401)
    target.problem = lambda samples: error
    with capture_logs() as logs:
        for _ in range(10):
            drain.step()
    (log,) = logs
    assert (log["reason"], log["writer"], "check `basic_auth`" in log["error"]) == ("auth", "scores", True)
    assert queue.samples == count


def test_refused_series_are_counted_and_said_once(queue: WriteQueue, drain: Drain, target: FakeTarget) -> None:
    """The log names a refused series with the target's words; it does not hold up the others, then or later."""

    def refuse(samples: Samples) -> HttpFailure | None:
        bad = any(("for", "cpu") in labels and labels[0][1] == "y" for labels in samples.labels)
        return failure(400, "label value too long") if bad else None

    target.problem = refuse
    with capture_logs() as logs:
        for minute in range(3):
            put(queue, minute)
            drain.step()
    assert (drain.counts["written"], drain.counts["refused"], drain.counts["settled"]) == (18, 3, 0)
    (log,) = logs
    assert log["series"].startswith("y{for='cpu', instance='web-1'")
    assert (log["answer"], log["samples"]) == ("label value too long", 1)
    assert queue.samples == 0


def test_samples_that_are_there_already_are_settled(queue: WriteQueue, drain: Drain, target: FakeTarget) -> None:
    """Samples out of order are counted apart, and not tried again."""
    target.problem = lambda samples: failure(400, "out of order sample")
    put(queue)
    assert drain.step()
    assert (drain.counts["settled"], drain.counts["refused"], queue.samples) == (7, 0, 0)


def test_a_500_for_ever_is_given_up(queue: WriteQueue, drain: Drain, target: FakeTarget, clock: FakeClock) -> None:
    """After an hour of 500 over the same samples they are left out; those behind them arrive."""
    put(queue, 0)
    head = queue.head(1)
    assert head is not None
    poisoned = int(next(iter(head.rows.values())).times_ms[0])
    target.problem = lambda samples: failure(500) if poisoned in samples.times_ms else None
    drain.step()
    clock.advance(3_599)
    assert not drain.step()
    clock.advance(1)
    assert drain.step()
    put(queue, 1)
    assert drain.step()
    assert (drain.counts["refused"], drain.counts["written"]) == (7, 7)


def test_a_long_outage_is_no_reason_to_give_up(
    queue: WriteQueue, drain: Drain, target: FakeTarget, clock: FakeClock
) -> None:
    """Only a 500 may be the samples' fault: an overload or a lost connection lasts as long as it lasts."""
    put(queue)
    for status in (503, None, 502, 429):
        target.problem = lambda samples, status=status: failure(status)  # type: ignore[misc]
        for _ in range(3):
            clock.advance(86_400)
            assert not drain.step()
    assert queue.samples == 7


def test_many_groups_go_into_one_request(queue: WriteQueue, drain: Drain, target: FakeTarget) -> None:
    """Rows of different groups share a request, up to its size."""
    for number in range(1_000):
        put(queue, instance=f"web-{number}")
    while drain.step():
        pass
    assert target.requests == [5_000, 2_000]
