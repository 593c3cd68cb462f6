"""Fits that a tick asks for, because groups have no model: one at a time for each monitor, and not in vain too often.

A new group is fit at once. A group that cannot be fit yet, because it lacks history, would otherwise have weeks of
data read for it at every tick.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tsdiff_monitor.timeseries.frame import Group

__all__ = ["FIRST_WAIT", "LONGEST_WAIT", "FitRequests"]

FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class _Asked:
    groups: frozenset[Group]
    wait: float
    again_at: float


class FitRequests:
    """Decides which requests reach ``fit_soon``; ``clock`` gives Unix seconds."""

    def __init__(self, fit_soon: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._fit_soon = fit_soon
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: set[str] = set()
        self._asked: dict[str, _Asked] = {}

    def ask(self, monitor: str, groups: frozenset[Group]) -> bool:
        """Ask for a fit of the monitor's ``groups``; False when one is pending, or the same failed just now."""
        with self._lock:
            if monitor in self._pending:
                return False
            last, now, wait = self._asked.get(monitor), self._clock(), FIRST_WAIT
            if last is not None and groups <= last.groups:
                if now < last.again_at:
                    return False
                wait = min(2 * last.wait, LONGEST_WAIT)
            self._pending.add(monitor)
            self._asked[monitor] = _Asked(groups, wait, now + wait)
        self._fit_soon(monitor)
        return True

    def done(self, monitor: str) -> None:
        """Note that the fit has ended, with success or without."""
        with self._lock:
            self._pending.discard(monitor)
            last = self._asked.get(monitor)
            if last is not None:
                self._asked[monitor] = _Asked(last.groups, last.wait, self._clock() + last.wait)
