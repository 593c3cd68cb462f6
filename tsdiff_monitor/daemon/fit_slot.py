"""One fit computes at a time, and no fit waits long: monitors take turns, group by group.

Fits in parallel would take the processor from scoring and race for torch's global random generator. Reading history
needs no slot, so that a source that hangs holds up only its own monitor.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from tsdiff_monitor.plugins import Reader, Reading, ReadRequest
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["FitSlot", "FitStopped", "FitTurn"]


class FitStopped(BaseException):
    """The process stops: the fit is given up, and its models stay as they were.

    Like ``KeyboardInterrupt`` no ``Exception``, so that what keeps one group's failure from the others lets it pass.
    """


class FitSlot:
    """The right to compute, handed on in the order of asking."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[FitTurn] = deque()  # the first one has the slot
        self._closed = False

    def acquire(self, turn: FitTurn) -> None:
        """Wait for the slot. Raises :class:`FitStopped` once the slot is closed."""
        with self._changed:
            self._queue.append(turn)
            self._changed.wait_for(lambda: self._closed or self._queue[0] is turn)
            if self._closed:
                self._queue.remove(turn)
                raise FitStopped

    def release(self, turn: FitTurn) -> None:
        """Hand the slot on; does nothing when ``turn`` does not have it."""
        with self._changed:
            if self._queue and self._queue[0] is turn:
                self._queue.popleft()
                self._changed.notify_all()

    def close(self) -> None:
        """No fit computes from now on: waiting ones give up at once, the running one at its next step."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def contended(self) -> bool:
        """True if some fit is waiting for another one."""
        return len(self._queue) > 1


class FitTurn:
    """One monitor's fit: has the slot inside ``with``, and is the reader and the clock that the fit is to use."""

    def __init__(self, slot: FitSlot, reader: Reader, timer: Callable[[], float] = time.monotonic) -> None:
        self._slot = slot
        self._reader = reader
        self._timer = timer
        self._waited = 0.0
        self._group: Group | None = None

    def __enter__(self) -> FitTurn:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slot.release(self)

    def read(self, request: ReadRequest) -> Reading:
        """Read without the slot."""
        self._slot.release(self)
        reading = self._reader.read(request)
        self._wait()
        return reading

    def progress(self, group: Group, done: int, total: int) -> None:  # noqa: ARG002 (the fit's callback)
        """Let other monitors go first when a new group begins. Raises :class:`FitStopped`."""
        if self._slot.closed:
            raise FitStopped
        if self._group is not None and group != self._group and self._slot.contended:
            self._slot.release(self)
            self._wait()
        self._group = group

    def clock(self) -> float:
        """Seconds that stand still while waiting, for waiting must not use up a fit's budget."""
        return self._timer() - self._waited

    def _wait(self) -> None:
        began = self._timer()
        self._slot.acquire(self)
        self._waited += self._timer() - began
