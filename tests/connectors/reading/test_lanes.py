"""Calls that may hang keep a bounded number of threads, and do not refuse those that do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tsdiff_connectors.reading.lanes import Lanes
from tsdiff_monitor.plugins import BusyError, DeadlineError


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end of the test: what hangs waits for it."""
    event = threading.Event()
    yield event
    event.set()


def threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_an_hour_of_hanging_keeps_few_threads(released: threading.Event) -> None:
    """Of sixty calls that hang two are under way, and the others are refused in time."""
    lanes = Lanes("hour", 2)
    errors: list[Exception] = []
    for _ in range(60):
        with pytest.raises((BusyError, DeadlineError)) as caught:
            lanes.call(0.001, released.wait)
        errors.append(caught.value)
    assert threads("hour") == 2
    assert [type(error) for error in errors] == [DeadlineError] * 2 + [BusyError] * 58


def test_a_call_waits_for_a_free_lane(released: threading.Event) -> None:
    """A tick that finds the only lane taken by a fit is answered when the fit is."""
    lanes = Lanes("turns", 1)
    begun = threading.Event()

    def fit() -> bool:
        begun.set()
        return released.wait(10)

    other = threading.Thread(target=lanes.call, args=(10.0, fit))
    other.start()
    assert begun.wait(10)
    threading.Timer(0.01, released.set).start()
    assert lanes.call(10.0, lambda: "tick") == "tick"
    other.join()


def test_a_lane_is_free_again_after_a_late_return(released: threading.Event) -> None:
    """A call that returns after its deadline gives its lane back; its value is no one's."""
    lanes = Lanes("late", 1)
    with pytest.raises(DeadlineError, match="no answer within"):
        lanes.call(0.001, lambda: released.wait(10))
    released.set()
    assert lanes.call(10.0, lambda: 5) == 5


def test_errors_pass_through() -> None:
    """An error of the function reaches the caller, and the lane goes on."""
    lanes = Lanes("errors", 1)
    with pytest.raises(ZeroDivisionError):
        lanes.call(10.0, lambda: 1 // 0)
    assert lanes.call(10.0, lambda: 1) == 1
    with pytest.raises(ValueError, match="`count` must be at least 1"):
        Lanes("none", 0)
