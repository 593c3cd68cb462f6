"""Waiting times after failures: exponential, with jitter over the whole span above the floor.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter"), with a floor, so
that a failing service is never asked again at once.
"""

from __future__ import annotations

import random

__all__ = ["LONGEST", "SHORTEST", "backoff"]

SHORTEST = 1.0
LONGEST = 300.0


def backoff(failures: int, source: random.Random, *, retry_after: float | None = None) -> float:
    """Seconds to wait after ``failures`` (>= 1) failures in a row: uniform between 1 s and ``2 ** failures`` s.

    At most five minutes, unless ``retry_after`` (seconds, what the other side asked for) is longer: the result is
    never shorter than that.
    """
    ceiling = min(LONGEST, SHORTEST * 2.0 ** min(failures, 32))
    wait = source.uniform(SHORTEST, ceiling)
    return wait if retry_after is None else max(wait, retry_after)
