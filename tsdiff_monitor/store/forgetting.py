"""When events are old enough to be forgotten."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tsdiff_monitor.store.store import Store

__all__ = ["forget_old"]


def forget_old(store: Store, monitors: Iterable[str], now: pd.Timestamp, keep: pd.Timedelta) -> int:
    """Forget the events that have been over for longer than ``keep``; returns how many. Raises ``StoreError``.

    Counted from the newest row scored in any of the ``monitors``, for a clock that was put forward must not make
    everything old; without such a row nothing is forgotten.
    """
    scored = [time for name in monitors for time in store.last_scored(name).values()]
    return store.prune(min(max(scored), now) - keep) if scored else 0
