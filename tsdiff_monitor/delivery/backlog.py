"""Due deliveries that a run has read from the store and has not attempted yet."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from tsdiff_monitor.store.store import Delivery

__all__ = ["BATCH", "LOOK_AGAIN", "Backlog"]

_FIRST_BATCH = 5  # small: of a notifier that keeps a pace only one can go out
BATCH = 100
"""The most that are read at once."""
LOOK_AGAIN = 1.0
"""Seconds between two looks for new deliveries while attempts are under way."""


class Backlog:
    """Due deliveries of one run, read in batches; ``due`` takes a number and the notifiers to leave out."""

    def __init__(self, due: Callable[[int, set[str]], list[Delivery]]) -> None:
        self._due = due
        self._queues: dict[str, deque[Delivery]] = {}
        self._size = _FIRST_BATCH
        self._look_at = -math.inf

    def next(self, limit: int, resting: set[str], taken: set[str], now: float) -> list[Delivery]:
        """The next delivery of each notifier that is neither resting nor taken; ``now`` is the timer's time."""
        for name in resting & self._queues.keys():  # due again when it may be given something
            del self._queues[name]
        if limit > 0 and (not self._queues or now >= self._look_at):
            size = min(self._size, limit)
            found = self._due(size, resting | taken | self._queues.keys())
            for delivery in found:
                self._queues.setdefault(delivery.notifier, deque()).append(delivery)
            self._size = min(2 * self._size, BATCH)
            self._look_at = now + LOOK_AGAIN if len(found) < size else -math.inf
        return [queue[0] for name, queue in self._queues.items() if name not in taken]

    def drop(self, delivery: Delivery) -> None:
        """The delivery, one of those that :meth:`next` gave, is being attempted."""
        queue = self._queues[delivery.notifier]
        queue.popleft()
        if not queue:
            del self._queues[delivery.notifier]
