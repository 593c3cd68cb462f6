"""Pauses between tries: exponential with jitter, at least as long as the other side asks for.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception

from tsdiff_monitor.http.failure import HttpFailure

__all__ = ["Backoff", "retrying"]

_FIRST, _LONGEST = 0.5, 10.0  # seconds


@dataclass(frozen=True)
class Backoff:
    """A wait strategy for tenacity; :meth:`pause` serves those that do not wait in a loop.

    The ceiling is ``first`` seconds after the first failure and doubles with each further one up to ``longest``; the
    pause is uniform between ``shortest`` seconds (None: half the ceiling) and the ceiling.
    """

    random: random.Random
    first: float = _FIRST
    longest: float = _LONGEST
    shortest: float | None = None

    def pause(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds to wait after ``failures`` (>= 1) in a row, never less than ``retry_after``."""
        ceiling = min(self.first * 2.0 ** min(failures - 1, 64), self.longest)
        shortest = ceiling / 2 if self.shortest is None else min(self.shortest, ceiling)
        return max(self.random.uniform(shortest, ceiling), retry_after or 0.0)

    def __call__(self, state: RetryCallState) -> float:
        """The pause after a try of tenacity's; an :class:`HttpFailure` may ask for a longer one."""
        failure = state.outcome.exception() if state.outcome is not None else None
        asked = failure.retry_after if isinstance(failure, HttpFailure) else None
        return self.pause(state.attempt_number, asked)


def retrying(backoff: Backoff, *, retries: int, left: Callable[[], float], sleep: Callable[[float], None]) -> Retrying:
    """Tries again after an :class:`HttpFailure` that is ``retried``, at most ``retries`` times; then raises it.

    ``left`` gives the seconds until the deadline. A pause that outlasts it is not begun: the caller learns of the
    failure at once.
    """

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number > retries or state.upcoming_sleep >= left()

    again = retry_if_exception(lambda error: isinstance(error, HttpFailure) and error.retried)
    return Retrying(retry=again, wait=backoff, stop=stop, sleep=sleep, reraise=True)
