"""Calls with a deadline: what hangs is given up by the caller, and never costs more than one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tsdiff_monitor.system.deadline import BusyError, DeadlineError, Lane, call_within

LONG = 30.0  # seconds that no test waits unless it fails


class Hanging:
    """Returns its thread's name once it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.released.wait(LONG)
        return threading.current_thread().name


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.released.set()


def test_a_call_gives_its_value_or_its_error() -> None:
    """On a daemon thread of the lane's name, which is the same for each call."""
    lane = Lane("lane-of-values")
    first, second = (lane.call(LONG, threading.current_thread) for _ in range(2))
    assert first is second
    assert (first.name, first.daemon) == ("lane-of-values", True)
    with pytest.raises(KeyError, match="mine"):
        lane.call(LONG, lambda: {}["mine"])
    assert lane.call(LONG, lambda: 1) == 1


def test_a_hanging_call_is_given_up_and_refuses_the_next(hanging: Hanging) -> None:
    """After the deadline the caller goes on; until the call has returned there is no second thread."""
    lane = Lane("lane-that-hangs")
    with pytest.raises(DeadlineError, match=r"lane-that-hangs: no answer within 0\.001 s"):
        lane.call(0.001, hanging)
    for _ in range(20):
        with pytest.raises(BusyError, match="has not returned"):
            lane.call(LONG, lambda: None)
    assert lane.busy and len(threads("lane-that-hangs")) == 1


def test_what_returns_late_can_still_be_had(hanging: Hanging) -> None:
    """The call knows its late result, says that it is there, and the lane takes the next one at once."""
    lane, announced = Lane("lane-that-is-late"), threading.Event()
    call = lane.start(hanging, announced.set)
    assert hanging.begun.wait(LONG)
    assert not call.returned and not call.wait(0.0)
    with pytest.raises(DeadlineError):
        call.result()
    hanging.released.set()
    assert announced.wait(LONG)
    assert call.result() == "lane-that-is-late"
    assert lane.call(LONG, lambda: 2) == 2


def test_a_lane_without_work_has_no_thread() -> None:
    """The thread ends when idle, and the next call has another."""
    lane = Lane("lane-without-work", idle=0.0)
    first = lane.call(LONG, threading.current_thread)
    first.join(LONG)
    assert not threads("lane-without-work")
    assert lane.call(LONG, lambda: 3) == 3


def test_a_single_call_within_a_time(hanging: Hanging) -> None:
    """Its value in time; an error that names it when it takes longer."""
    assert call_within(LONG, lambda: 4) == 4
    with pytest.raises(DeadlineError, match="ping: no answer"):
        call_within(0.001, hanging, name="ping")
