"""Resends open alerts to notifiers whose alerts lapse otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd
import structlog

from tsdiff_monitor.delivery.dispatcher import ATTEMPT_TIMEOUT
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.errors import DeliveryError, StoreError
from tsdiff_monitor.plugins import Notifier, Refresher
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.deadline import Call

__all__ = ["AlertResender"]

_log = structlog.get_logger(__name__)


@dataclass
class _Resend:
    """A call of ``refresh`` that was begun at ``began`` (a time of the timer)."""

    call: Call[None]
    began: float
    overdue: bool = False


class AlertResender:
    """Calls ``refresh`` of every notifier that has one, as often as it asks; ``now`` returns Unix seconds.

    ``turns`` are those of the dispatcher: a notifier is never given a delivery and a resend at the same time, and its
    first resend comes before its first delivery, so that it knows again which event each alert is of. A resend that has
    not returned after ``timeout`` (of ``timer``) counts as failed; until it has, that notifier gets nothing more.
    ``failures``: failed resends of each notifier.
    """

    def __init__(
        self,
        store: Store,
        notifiers: Mapping[str, Notifier],
        *,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] | None = None,
        timeout: timedelta = ATTEMPT_TIMEOUT,
        turns: Turns | None = None,
    ) -> None:
        self._store = store
        self._refreshers = {name: one for name, one in notifiers.items() if isinstance(one, Refresher)}
        self._now = now
        self._timer = timer or (time.monotonic if now is time.time else now)
        self._timeout = timeout.total_seconds()
        self._turns = turns or Turns()
        self._last = dict.fromkeys(self._refreshers, -math.inf)
        self._resends: dict[str, _Resend] = {}
        self.failures = dict.fromkeys(self._refreshers, 0)
        for name in self._refreshers:
            self._turns.reserve(name)

    def run_due(self) -> int:
        """Begin the resends that are due; returns their number. Does not wait for those that have a thread.

        A failure is logged, and tried again when the next one is due. Raises ``StoreError``.
        """
        begun = 0
        for name, refresher in self._refreshers.items():
            self._end(name)
            since = self._now() - self._last[name]
            due = not 0 <= since < refresher.refresh_every.total_seconds()  # so too when the clock was put back
            if due and name not in self._resends and self._turns.take_first(name):
                begun += self._begin(name, refresher)
        return begun

    def finish(self, seconds: float) -> None:
        """Wait for the resends under way, ``seconds`` at most."""
        until = time.monotonic() + seconds
        for name, resend in list(self._resends.items()):
            resend.call.wait(max(until - time.monotonic(), 0.0))
            self._end(name)

    def _begin(self, name: str, refresher: Refresher) -> bool:
        now = self._now()
        after = pd.Timestamp(now - refresher.keep_resolved.total_seconds(), unit="s", tz="UTC")
        try:
            changes = self._store.latest_delivered(name, after)
        except StoreError:
            self._turns.reserve(name)
            self._turns.give_back(name)
            raise
        self._last[name] = now
        if not changes:
            self._turns.give_back(name)
            return False
        self._resends[name] = _Resend(self._turns.start(name, lambda: refresher.refresh(changes)), self._timer())
        self._end(name)
        return True

    def _end(self, name: str) -> None:
        """Log how a resend ended, if it has; give the notifier back then."""
        resend = self._resends.get(name)
        if resend is None:
            return
        if not resend.call.returned:
            if not resend.overdue and self._timer() - resend.began >= self._timeout:
                resend.overdue = True
                self._failed(name, "timeout", f"no answer within {self._timeout:g} s")
            return
        del self._resends[name]
        self._turns.give_back(name)
        try:
            resend.call.result()
        except DeliveryError as error:
            self._failed(name, error.reason, str(error), again=resend.overdue)
        except Exception as error:  # third-party code, and its text may hold a secret
            self._failed(name, "bug", type(error).__name__, again=resend.overdue)

    def _failed(self, name: str, reason: str, message: str, *, again: bool = False) -> None:
        """``again``: the resend was counted when its time was over."""
        self.failures[name] += not again
        log = _log.error if reason == "bug" else _log.warning
        log("alerts not sent again", notifier=name, reason=reason, error=message)
