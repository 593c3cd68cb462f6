"""A bounded number of threads for calls that may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tsdiff_monitor.plugins import BusyError, DeadlineError, Lane

__all__ = ["Lanes"]

_IDLE = 1.0
"""Seconds after which a thread without work ends: long enough for the requests of one reading to share it."""

T = TypeVar("T")


class Lanes:
    """Runs up to ``count`` calls at once, each on a :class:`~tsdiff_monitor.plugins.Lane` of its own.

    A call that hangs keeps its lane, so there are never more than ``count`` threads, called ``name``, however long a
    server hangs. A call for which no lane is free waits for one, within its own deadline: the tick and the fit of one
    reader do not refuse each other. Thread-safe.
    """

    def __init__(self, name: str, count: int) -> None:
        if count < 1:
            raise ValueError("`count` must be at least 1")
        self._name = name
        self._changed = threading.Condition()
        self._free = [Lane(name, idle=_IDLE) for _ in range(count)]

    def call(self, seconds: float, function: Callable[[], T]) -> T:
        """The value of ``function``, for which the caller waits ``seconds`` at most, waiting for a lane included.

        Raises what the function raises, :class:`DeadlineError` when it takes longer (it runs on), and
        :class:`BusyError` when no earlier call has returned within that time (the function is not called).
        """
        end = time.monotonic() + seconds
        with self._changed:
            if not self._changed.wait_for(lambda: self._free, max(seconds, 0.0)):
                raise BusyError(f"{self._name}: none of the earlier calls has returned within {seconds:g} s")
            lane = self._free.pop()  # the one used last: its thread may still be there
        try:
            call = lane.start(function, lambda: self._give_back(lane))
        except BaseException:  # the system has no more threads
            self._give_back(lane)
            raise
        if not call.wait(max(end - time.monotonic(), 0.0)):
            raise DeadlineError(f"{self._name}: no answer within {seconds:g} s")
        return call.result()

    def _give_back(self, lane: Lane) -> None:
        with self._changed:
            self._free.append(lane)
            self._changed.notify()
