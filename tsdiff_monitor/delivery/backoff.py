"""The waiting times of deliveries, of the product's one back-off: never at once, and five minutes at most."""

from __future__ import annotations

import random

from tsdiff_monitor.http.retries import Backoff

__all__ = ["LONGEST", "SHORTEST", "delivery_backoff"]

SHORTEST, LONGEST = 1.0, 300.0
"""Seconds; a service that asks for more gets more."""


def delivery_backoff(source: random.Random) -> Backoff:
    """Uniform between 1 s and ``2 ** failures`` s, :data:`LONGEST` at most: full jitter above a floor."""
    return Backoff(source, first=2.0, longest=LONGEST, shortest=SHORTEST)
