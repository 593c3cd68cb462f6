"""Calls with a deadline, on threads that never multiply.

Python cannot stop a thread: a call that hangs keeps its own. A :class:`Lane` therefore has one thread at most, and
refuses the next call for as long as the previous one lives. Its thread is a daemon: it never keeps a process from
ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["BusyError", "Call", "DeadlineError", "Lane", "call_within"]

_IDLE = 30.0  # seconds after which a thread without work ends

T = TypeVar("T")


class BusyError(RuntimeError):
    """The previous call has not returned yet."""


class DeadlineError(TimeoutError):
    """The call has not returned within its deadline; it runs on."""


class Call(Generic[T]):
    """One call of ``function``; ``done`` is called, without arguments, once it has returned or raised."""

    def __init__(self, function: Callable[[], T], done: Callable[[], None] = lambda: None) -> None:
        self._function = function
        self._done = done
        self._returned = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None

    @property
    def returned(self) -> bool:
        """True once the function has returned or raised."""
        return self._returned.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the function's return, ``seconds`` at most (None: for ever); False when it has not come."""
        return self._returned.wait(seconds)

    def result(self) -> T:
        """The function's value. Raises what it raised, and :class:`DeadlineError` while it has not returned."""
        if not self.returned:
            raise DeadlineError("the call has not returned yet")
        if self._error is not None:
            raise self._error
        return self._results[0]

    def run(self) -> None:
        """Call the function in this thread, once. Raises nothing: see :meth:`result`."""
        self.execute()
        self.finish()

    def execute(self) -> None:
        """The first half of :meth:`run`: the function runs, and its return is not announced yet."""
        try:
            self._results.append(self._function())
        except BaseException as error:  # raised again by `result`
            self._error = error

    def finish(self) -> None:
        """The second half of :meth:`run`: wake those who wait, and call ``done``."""
        self._returned.set()
        self._done()


class Lane:
    """Runs one function at a time on a daemon thread called ``name``, which begins with the first call.

    A thread without work for ``idle`` seconds ends; the next call starts another. Thread-safe.
    """

    def __init__(self, name: str, *, idle: float = _IDLE) -> None:
        self._name = name
        self._idle = idle
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._next: Call[Any] | None = None
        self._busy = False

    @property
    def busy(self) -> bool:
        """True while a call has not returned, however long ago its deadline was."""
        return self._busy

    def call(self, seconds: float, function: Callable[[], T]) -> T:
        """The value of ``function``, for which the caller waits ``seconds`` at most.

        Raises what the function raises, :class:`DeadlineError` when it takes longer, and :class:`BusyError` while an
        earlier one has not returned.
        """
        call = self.start(function)
        if not call.wait(seconds):
            raise DeadlineError(f"{self._name}: no answer within {seconds:g} s")
        return call.result()

    def start(self, function: Callable[[], T], done: Callable[[], None] = lambda: None) -> Call[T]:
        """Begin a call without waiting for it. Raises :class:`BusyError`.

        ``done``, which must not raise, is called in the lane's thread when the function has returned.
        """
        call = Call(function, done)
        with self._changed:
            if self._busy:
                raise BusyError(f"{self._name}: the previous call has not returned yet")
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                thread.start()  # waits for this lock; raises when the system has no more threads
                self._thread = thread
            self._next, self._busy = call, True
            self._changed.notify()
        return call

    def _work(self) -> None:
        while (call := self._take()) is not None:
            call.execute()
            self._busy = False  # first: a caller that knows of the return may start the next call at once
            call.finish()
            del call  # its result may be large

    def _take(self) -> Call[Any] | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._next is not None, self._idle):
                self._thread = None
                return None
            call, self._next = self._next, None
            return call


def call_within(seconds: float, function: Callable[[], T], *, name: str = "call") -> T:
    """The value of ``function``, on a thread of its own, for which the caller waits ``seconds`` at most.

    For a single call: where it is repeated, a :class:`Lane` keeps threads from piling up behind one that hangs. Raises
    what the function raises, and :class:`DeadlineError` when it takes longer.
    """
    return Lane(name, idle=0.0).call(seconds, function)
