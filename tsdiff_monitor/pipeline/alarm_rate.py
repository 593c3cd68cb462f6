"""The alarm rate that a monitor is allowed, with each group's allowance, and the rate that it really has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from tsdiff_monitor.store.store import Store

__all__ = ["LOOK_BACK", "seen_per_week", "share_of"]

LOOK_BACK = pd.Timedelta(days=28)
_LEAST = pd.Timedelta(days=1)
_WEEK = pd.Timedelta(days=7)
_COUNTED = 8
"""Up to so many groups share by their number, more by that number rounded up to a power of the root of 2."""


def share_of(alarms_per_week: float, groups: int) -> float:
    """Alarms a week that one of ``groups`` may raise, of those that all together may.

    Rounded, so that a few groups of many that come and go do not move the thresholds of the others; and rounded up, so
    that no more is raised than was allowed.
    """
    if groups > _COUNTED:
        return alarms_per_week / 2 ** (math.ceil(2 * math.log2(groups)) / 2)
    return alarms_per_week / max(groups, 1)


def seen_per_week(store: Store, monitor: str, now: pd.Timestamp) -> float | None:
    """Events a week that began in the last four weeks (or since the monitor began) and were not called real.

    Events marked real or expected were no false alarms; of the others it is not known, so that the true rate
    of false alarms is at most this. None before a day has been watched.
    """
    since = store.watched_since(monitor)
    if since is None or now - since < _LEAST:
        return None
    start = max(since, now - LOOK_BACK)
    return store.count_unclear(monitor, start, now) / ((now - start) / _WEEK)
