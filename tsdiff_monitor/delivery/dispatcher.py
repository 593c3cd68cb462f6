"""Takes due deliveries from the store to their notifiers, at least once each, and decides what a failure means.

A notifier only says whether a failure is recoverable; waiting, giving up and keeping failures of one notifier away
from the others happens here, in one place. The rules: ``docs/events.md``.
"""

from __future__ import annotations

import math
import random
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

import structlog

from tsdiff_monitor.delivery.backoff import backoff
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Notifier, Receipt, ReceiptKeeper
from tsdiff_monitor.store.store import Delivery, Store

__all__ = ["Attempt", "Dispatcher"]

_BATCH = 100
_MESSAGE_LIMIT = 500  # characters of an error kept in the store and the log

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One attempt at one delivery, for metrics. ``reason`` is empty when delivered; times are in seconds.

    ``took`` is the notifier's time, ``age`` the time since the change was committed.
    """

    notifier: str
    outcome: Literal["delivered", "failed", "dead"]
    reason: str
    took: float
    age: float


@dataclass
class _Pause:
    """A notifier that failed is left alone until ``until``, so that its failures hold up nobody else."""

    failures: int = 0
    until: float = -math.inf


class Dispatcher:
    """Delivers what :class:`~tsdiff_monitor.store.store.Store` holds as due.

    ``now`` returns Unix seconds, ``random`` spreads retries, ``observe`` hears of every attempt. A delivery that
    would have to wait beyond ``give_up_after`` since its change was committed is dead. One run at a time: a second
    thread waits for the first.
    """

    def __init__(
        self,
        store: Store,
        notifiers: Mapping[str, Notifier],
        *,
        now: Callable[[], float] = time.time,
        random: random.Random,
        give_up_after: timedelta = timedelta(days=1),
        observe: Callable[[Attempt], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._notifiers = dict(notifiers)
        self._now = now
        self._random = random
        self._give_up_after = give_up_after.total_seconds()
        self._observe = observe
        self._sleep = sleep
        self._running = threading.Lock()
        self._pauses: dict[str, _Pause] = {}
        self._unmarked: dict[int, Receipt | None] = {}

    def run_due(self, limit: int = 1000) -> int:
        """Attempt at most ``limit`` due deliveries and return how many were attempted.

        Raises ``StoreError``, and nothing else, whatever the notifiers do.
        """
        return self._run(limit, math.inf)

    def drain(self, deadline: float) -> int:
        """Attempt deliveries until nothing is due or ``deadline`` (Unix seconds); returns how many were attempted.

        A notifier's own pace is waited for. Deliveries that wait for a retry are not: they stay in the store for the
        next start.
        """
        attempts = 0
        while True:
            made = self._run(_BATCH, deadline)
            attempts += made
            if made:
                continue
            wait = self._pace_left()
            if wait is None or self._now() + wait >= deadline:
                return attempts
            self._sleep(wait)

    def _pace_left(self) -> float | None:
        """Seconds until a notifier that only keeps its pace goes on; None when nothing waits for that."""
        now = self._now()
        pauses = {name: pause for name, pause in self._pauses.items() if pause.until > now}
        paced = [pause.until - now for pause in pauses.values() if not pause.failures]
        failing = {name for name, pause in pauses.items() if pause.failures}
        return min(paced) if paced and self._store.due(now, 1, skip=failing) else None

    def _run(self, limit: int, deadline: float) -> int:
        patience = -1.0 if math.isinf(deadline) else max(deadline - self._now(), 0.0)
        if not self._running.acquire(timeout=patience):
            return 0
        attempts, paused = 0, set[str]()
        try:
            self._mark_left_over()
            while attempts < limit and self._now() < deadline:
                paused |= {name for name, pause in self._pauses.items() if pause.until > self._now()}
                batch = self._store.due(self._now(), min(_BATCH, limit - attempts), skip=paused)
                if not batch:
                    break
                for delivery in batch:
                    if self._now() >= deadline:
                        break
                    if delivery.notifier in paused:
                        continue
                    attempts += 1
                    if not self._attempt(delivery):
                        paused.add(delivery.notifier)
        finally:
            self._running.release()
        return attempts

    def _mark_left_over(self) -> None:
        """A delivery that was made while the store could not be written must not be made again, and again."""
        for delivery_id, receipt in sorted(self._unmarked.items()):
            self._store.mark_delivered(delivery_id, self._now(), receipt)
            del self._unmarked[delivery_id]

    def _attempt(self, delivery: Delivery) -> bool:
        """Whether the notifier may be given more in this run."""
        notifier = self._notifiers.get(delivery.notifier)
        if notifier is None:
            message = f"there is no notifier named {delivery.notifier} in the configuration any more"
            self._bury(delivery, "unknown_notifier", message, 0.0)
            return True
        began = self._now()
        try:
            receipt = self._notify(notifier, delivery)
        except DeliveryError as error:
            failure = error
        except Exception as error:  # a notifier may be anybody's code: it must not stop the others
            failure = DeliveryError(_where(error), recoverable=True, reason="bug")
        else:
            self._pauses.pop(delivery.notifier, None)
            self._unmarked[delivery.id] = receipt
            self._mark_left_over()
            self._tell(delivery, "delivered", "", self._now() - began)
            return self._may_go_on(delivery.notifier, notifier)
        took = self._now() - began
        if not failure.recoverable:
            self._bury(delivery, failure.reason, str(failure), took)
            return True
        self._fail(delivery, failure, took)
        return False

    def _notify(self, notifier: Notifier, delivery: Delivery) -> Receipt | None:
        if not getattr(notifier, "keeps_receipts", False):
            notifier.notify(delivery.change)
            return None
        receipt = self._store.receipt(delivery.change.event.id, delivery.notifier)
        return cast(ReceiptKeeper, notifier).notify(delivery.change, receipt)

    def _may_go_on(self, name: str, notifier: Notifier) -> bool:
        """Whether the notifier may be given the next change at once; it says how far apart it wants them."""
        pace = float(getattr(notifier, "pace", 0.0))
        if pace > 0:
            self._pauses[name] = _Pause(until=self._now() + pace)
        return pace <= 0

    def _fail(self, delivery: Delivery, failure: DeliveryError, took: float) -> None:
        pause = self._pauses.setdefault(delivery.notifier, _Pause())
        pause.failures += 1
        now, asked = self._now(), failure.retry_after
        pause.until = now + backoff(pause.failures, self._random, retry_after=asked)
        wait = backoff(delivery.attempts + 1, self._random, retry_after=asked)
        if now + wait > delivery.created + self._give_up_after:
            self._bury(delivery, failure.reason, str(failure), took)
            return
        message = _short(str(failure))
        self._store.mark_failed(delivery.id, now, now + wait, failure.reason, message)
        _log.warning(
            "delivery failed, will be retried",
            notifier=delivery.notifier,
            key=delivery.change.key,
            attempt=delivery.attempts + 1,
            reason=failure.reason,
            error=message,
            retry_seconds=round(wait, 1),
        )
        self._tell(delivery, "failed", failure.reason, took)

    def _bury(self, delivery: Delivery, reason: str, message: str, took: float) -> None:
        message = _short(message)
        self._store.mark_dead(delivery.id, self._now(), reason, message)
        _log.error(
            "delivery given up",
            notifier=delivery.notifier,
            key=delivery.change.key,
            attempt=delivery.attempts + 1,
            reason=reason,
            error=message,
        )
        self._tell(delivery, "dead", reason, took)

    def _tell(
        self, delivery: Delivery, outcome: Literal["delivered", "failed", "dead"], reason: str, took: float
    ) -> None:
        self._observe(Attempt(delivery.notifier, outcome, reason, took, self._now() - delivery.created))


def _where(error: Exception) -> str:
    """Kind and place of an unexpected exception, without its text: nobody vouches that it holds no secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"the notifier failed with {type(error).__name__} in {frame.name} (line {frame.lineno} of {frame.filename})"


def _short(message: str) -> str:
    return message[:_MESSAGE_LIMIT].encode("utf-8", "replace").decode()
