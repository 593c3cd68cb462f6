"""Circuit breakers, one for each notifier, and the pace that it wants between two messages.

Closed: deliveries go out. A failure opens it for a while, longer with each in a row. After that it is half open:
one delivery goes out as a probe; it closes the breaker, or opens it for longer.
https://learn.microsoft.com/en-us/azure/architecture/patterns/circuit-breaker
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tsdiff_monitor.delivery.backoff import delivery_backoff

__all__ = ["Breakers"]

_log = structlog.get_logger(__name__)


@dataclass
class _Breaker:
    failures: int = 0
    until: float = -math.inf
    """Nothing goes out before this time: for as long the breaker is open, or the notifier keeps its pace."""


class Breakers:
    """The breakers of all notifiers. ``timer`` gives seconds that no change of the clock touches."""

    def __init__(self, timer: Callable[[], float], source: random.Random) -> None:
        self._timer = timer
        self._random = source
        self._breakers: dict[str, _Breaker] = {}

    def resting(self) -> set[str]:
        """The notifiers that get nothing now."""
        now = self._timer()
        return {name for name, breaker in self._breakers.items() if breaker.until > now}

    def failing(self) -> set[str]:
        """Those of them that failed; the others only keep their pace."""
        return {name for name in self.resting() if self._breakers[name].failures}

    def not_closed(self) -> set[str]:
        """Those whose last answer was a failure. Any thread may ask."""
        return {name for name, breaker in dict(self._breakers).items() if breaker.failures}

    def pace_left(self) -> float | None:
        """Seconds until the first of those that keep their pace may go on; None where there is none."""
        now, failing = self._timer(), self.failing()
        return min((self._breakers[name].until - now for name in self.resting() - failing), default=None)

    def failed(self, name: str, *, pace: float = 0.0, retry_after: float | None = None) -> None:
        """Open after a failure, for at least ``retry_after`` seconds where the other side asked for that."""
        breaker = self._breakers.setdefault(name, _Breaker())
        breaker.failures += 1
        wait = delivery_backoff(self._random).pause(breaker.failures, retry_after)
        breaker.until = self._timer() + max(wait, pace)

    def answered(self, name: str, *, pace: float = 0.0) -> None:
        """Close after an answer (a delivery taken, or refused for good), and keep the pace."""
        breaker = self._breakers.pop(name, None)
        if breaker is not None and breaker.failures:
            _log.info("notifier is back", notifier=name, failures=breaker.failures)
        if pace > 0:
            self._breakers[name] = _Breaker(until=self._timer() + pace)
