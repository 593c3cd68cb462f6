"""One call at a time to each notifier, whichever job makes it, each notifier on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from tsdiff_monitor.system.deadline import Call, Lane

__all__ = ["Turns"]

T = TypeVar("T")


class Turns:
    """Lets one job at a time use a notifier. Thread-safe.

    Deliveries and resends share a notifier: a resend that read the state before a resolution was noted, and posts it
    after, would fire the alert again. A notifier whose last call has not returned stays taken. With ``threads`` false,
    calls are made in the caller's thread and have returned when :meth:`start` does.
    """

    def __init__(self, *, threads: bool = False, reserved: Iterable[str] = ()) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._reserved: set[str] = set(reserved)
        self._lanes: dict[str, Lane] = {}

    def unavailable(self) -> set[str]:
        """The notifiers that :meth:`take` would refuse now."""
        with self._lock:
            return self._taken | self._reserved

    def take(self, name: str) -> bool:
        """Take a notifier; False while it is taken or reserved."""
        with self._lock:
            if name in self._taken or name in self._reserved:
                return False
            self._taken.add(name)
            return True

    def take_first(self, name: str) -> bool:
        """Take a notifier ahead of :meth:`take`; while it is taken reserve it instead, and return False."""
        with self._lock:
            if name in self._taken:
                self._reserved.add(name)
                return False
            self._reserved.discard(name)
            self._taken.add(name)
            return True

    def reserve(self, name: str) -> None:
        """Let :meth:`take` refuse the notifier until the next :meth:`take_first`."""
        with self._lock:
            self._reserved.add(name)

    def give_back(self, name: str) -> None:
        """Let others take it."""
        with self._lock:
            self._taken.discard(name)

    def start(self, name: str, function: Callable[[], T], done: Callable[[], None] = lambda: None) -> Call[T]:
        """Begin a call to a notifier that the caller has taken; ``done`` is called when it has returned."""
        if not self._threads:
            call = Call(function, done)
            call.run()
            return call
        with self._lock:
            lane = self._lanes.setdefault(name, Lane(f"notify-{name}"))
        return lane.start(function, done)
