"""Reminds notifiers whose alerts lapse unless they are sent again of the events that they were told of."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import pandas as pd
import structlog

from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Notifier, Refresher
from tsdiff_monitor.store.store import Store

__all__ = ["Refreshing"]

_log = structlog.get_logger(__name__)


class Refreshing:
    """Calls ``refresh`` of every notifier that has one, as often as it asks; ``now`` returns Unix seconds.

    ``failures``: how often each of them could not.
    """

    def __init__(
        self, store: Store, notifiers: Mapping[str, Notifier], *, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._refreshers = {name: one for name, one in notifiers.items() if isinstance(one, Refresher)}
        self._now = now
        self._last = dict.fromkeys(self._refreshers, -math.inf)
        self.failures = dict.fromkeys(self._refreshers, 0)

    def run_due(self) -> int:
        """Refresh whoever's time has come; returns how many were. A failure is logged, and tried when due again."""
        made = 0
        for name, refresher in self._refreshers.items():
            now = self._now()
            if 0 <= now - self._last[name] < refresher.refresh_every.total_seconds():  # not when the clock went back
                continue
            self._last[name] = now
            keep = refresher.keep_resolved.total_seconds()
            changes = self._store.newest_told(name, pd.Timestamp(now - keep, unit="s", tz="UTC"))
            if not changes:
                continue
            try:
                refresher.refresh(changes)
                made += 1
            except DeliveryError as error:
                self.failures[name] += 1
                _log.warning("alerts not sent again", notifier=name, reason=error.reason, error=str(error))
            except Exception as error:  # a notifier may be anybody's code, and its text may hold a secret
                self.failures[name] += 1
                _log.error("alerts not sent again", notifier=name, reason="bug", error=type(error).__name__)
        return made
