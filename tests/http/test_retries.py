"""Pauses between tries: how long they may be, and when none is begun."""

from __future__ import annotations

import random

import pytest

from tests.servers.scripted import Clock
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.http.retries import Backoff, retrying


@pytest.mark.parametrize("shortest", [None, 0.25])
def test_pauses_double_up_to_the_longest(shortest: float | None) -> None:
    """Each pause lies between its floor and a ceiling that doubles; a thousand failures overflow nothing."""
    backoff = Backoff(random.Random(3), first=0.5, longest=8.0, shortest=shortest)
    for failures, ceiling in [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 8.0), (1000, 8.0)]:
        pauses = [backoff.pause(failures) for _ in range(200)]
        floor = ceiling / 2 if shortest is None else shortest
        assert floor <= min(pauses) < floor + 0.1 * ceiling
        assert ceiling * 0.9 < max(pauses) <= ceiling


def test_the_other_side_may_ask_for_more() -> None:
    """``retry_after`` makes a pause longer, never shorter."""
    backoff = Backoff(random.Random(3))
    assert backoff.pause(1, 60.0) == 60.0
    assert backoff.pause(1, 0.0) >= 0.25


def failing(clock: Clock, *, retries: int, left: float, retried: bool = True) -> int:
    """Number of tries of a call that always fails."""
    tried = []

    def fail() -> None:
        tried.append(clock())
        raise HttpFailure("no", reason="connect", retried=retried, retry_after=1.0)

    end = clock() + left
    tries = retrying(Backoff(random.Random(3)), retries=retries, left=lambda: end - clock(), sleep=clock.sleep)
    with pytest.raises(HttpFailure):
        tries(fail)
    return len(tried)


def test_tries_end() -> None:
    """Tries end with their number, with a failure that no retry cures, and before a pause that outlasts the time."""
    assert failing(Clock(), retries=3, left=100) == 4
    assert failing(Clock(), retries=0, left=100) == 1
    assert failing(Clock(), retries=3, left=100, retried=False) == 1
    clock = Clock()
    assert failing(clock, retries=9, left=2.5) == 3
    assert sum(clock.slept) < 2.5
