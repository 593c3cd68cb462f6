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
from datetime import timedelta
from typing import cast

import structlog

from tsdiff_monitor.delivery.attempt import Attempt, Outcome
from tsdiff_monitor.delivery.backoff import LONGEST, backoff
from tsdiff_monitor.delivery.circuit_breaker import Breakers
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Notifier, Receipt, ReceiptKeeper
from tsdiff_monitor.store.store import Delivery, Store

__all__ = ["Attempt", "Dispatcher"]

_FIRST_BATCH, _BATCH = 5, 100  # small at first: of a notifier that keeps a pace only one can go out
_MESSAGE_LIMIT = 500  # characters of an error kept in the store and the log
_JUMP = 30.0  # seconds: what a clock gains at once beyond this was put forward
_GRACE = 3600.0  # seconds: after a start nothing is given up sooner, however old it is

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Delivers what :class:`~tsdiff_monitor.store.store.Store` holds as due.

    ``now`` returns Unix seconds, ``timer`` seconds that no change of the clock touches (left out: ``time.monotonic``,
    or ``now`` where that is a stand-in), ``random`` spreads retries, ``observe`` hears of every attempt. A delivery
    that would have to wait beyond ``give_up_after`` since its change was committed is dead, but none is in the first
    hour after the start. One run at a time: a second thread waits for the first.
    """

    def __init__(
        self,
        store: Store,
        notifiers: Mapping[str, Notifier],
        *,
        now: Callable[[], float] = time.time,
        timer: Callable[[], float] | None = None,
        random: random.Random,
        give_up_after: timedelta = timedelta(days=2),
        observe: Callable[[Attempt], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._notifiers = dict(notifiers)
        self._now = now
        self._timer = timer or (time.monotonic if now is time.time else now)
        self._random = random
        self._give_up_after = give_up_after.total_seconds()
        self._observe = observe
        self._sleep = sleep
        self._running = threading.Lock()
        self._breakers = Breakers(self._timer, random)
        self._unmarked: dict[int, Callable[[], None]] = {}
        self._offset = now() - self._timer()
        self._patient_until = self._timer() + min(self._give_up_after, _GRACE)

    def run_due(self, limit: int = 1000) -> int:
        """Attempt at most ``limit`` due deliveries and return how many were attempted.

        Raises ``StoreError``, and nothing else, whatever the notifiers do.
        """
        return self._run(limit, math.inf)

    def drain(self, deadline: float) -> int:
        """Attempt deliveries until nothing is due or ``deadline`` (Unix seconds); returns how many were attempted.

        A notifier's own pace is waited for. Deliveries that wait for a retry are not: they stay in the store for the
        next start. A clock that is changed meanwhile does not move the deadline.
        """
        attempts, until = 0, self._timer() + deadline - self._now()
        while True:
            made = self._run(_BATCH, until)
            attempts += made
            if made:
                continue
            wait = self._breakers.pace_left()
            if wait is None or self._timer() + wait >= until or not self._due(1, self._breakers.failing()):
                return attempts
            self._sleep(wait)

    def failing(self) -> set[str]:
        """The notifiers that failed and have neither taken nor refused anything since. Any thread may ask."""
        return self._breakers.not_closed()

    def _run(self, limit: int, until: float) -> int:
        """``until``: a time of the timer."""
        patience = -1.0 if math.isinf(until) else max(until - self._timer(), 0.0)
        if not self._running.acquire(timeout=patience):
            return 0
        attempts, size = 0, _FIRST_BATCH
        try:
            self._mark_left_over()
            self._follow_the_clock()
            while attempts < limit and self._timer() < until:
                resting = self._breakers.resting()
                batch = self._due(min(size, limit - attempts), resting)
                if not batch:
                    break
                size = min(2 * size, _BATCH)
                for delivery in batch:
                    if self._timer() >= until:
                        break
                    if delivery.notifier in resting:
                        continue
                    attempts += 1
                    self._attempt(delivery)
                    resting |= self._breakers.resting()
        finally:
            self._running.release()
        return attempts

    def _due(self, limit: int, skip: set[str]) -> list[Delivery]:
        return self._store.due(self._now(), limit, skip=skip, horizon=LONGEST)

    def _follow_the_clock(self) -> None:
        """The time by which a clock was put forward, or the machine slept, makes no delivery older."""
        now = self._now()
        ahead = now - self._timer() - self._offset
        if ahead > _JUMP:
            self._store.rejuvenate(ahead, now)
            _log.warning("the clock was put forward: pending deliveries are no older for it", seconds=round(ahead))
        self._offset += ahead

    def _mark_left_over(self) -> None:
        """What became of deliveries while the store could not be written: they must not be made again, and again."""
        for delivery_id, mark in list(self._unmarked.items()):
            mark()
            del self._unmarked[delivery_id]

    def _attempt(self, delivery: Delivery) -> None:
        name = delivery.notifier
        notifier = self._notifiers.get(name)
        if notifier is None:
            message = f"there is no notifier named {name} in the configuration any more"
            self._bury(delivery, "unknown_notifier", message, 0.0)
            return
        pace = float(getattr(notifier, "pace", 0.0))  # how far apart it wants its messages
        keeps = getattr(notifier, "keeps_receipts", False)
        receipt: Receipt | None = self._store.receipt(delivery.change.event.id, name) if keeps else None
        began = self._timer()
        try:
            if keeps:
                receipt = cast(ReceiptKeeper, notifier).notify(delivery.change, receipt)
            else:
                notifier.notify(delivery.change)
        except DeliveryError as error:
            failure = error
        except Exception as error:  # a notifier may be anybody's code: it must not stop the others
            failure = DeliveryError(_where(error), recoverable=True, reason="bug")
        else:
            self._breakers.answered(name, pace=pace)
            now = self._now()
            self._settle(
                delivery,
                "delivered",
                "",
                self._timer() - began,
                lambda: self._store.mark_delivered(delivery.id, now, receipt),
            )
            return
        took = self._timer() - began
        if failure.recoverable:
            self._breakers.failed(name, pace=pace, retry_after=failure.retry_after)
            self._fail(delivery, failure, took)
        else:
            self._breakers.answered(name, pace=pace)
            self._bury(delivery, failure.reason, str(failure), took)

    def _fail(self, delivery: Delivery, failure: DeliveryError, took: float) -> None:
        now = self._now()
        wait = backoff(delivery.attempts + 1, self._random)
        asked = max(wait, failure.retry_after or 0.0)
        too_old = now + asked > delivery.created + self._give_up_after
        if too_old and self._timer() + asked > self._patient_until:
            self._bury(delivery, failure.reason, str(failure), took)
            return
        message = _short(str(failure))
        _log.warning(
            "delivery failed, will be retried",
            notifier=delivery.notifier,
            key=delivery.change.key,
            attempt=delivery.attempts + 1,
            reason=failure.reason,
            error=message,
            retry_seconds=round(asked, 1),
        )
        self._settle(
            delivery,
            "failed",
            failure.reason,
            took,
            # What the other side asked for holds for all that it is sent: its breaker sees to that.
            lambda: self._store.mark_failed(delivery.id, now, now + wait, failure.reason, message),
        )

    def _bury(self, delivery: Delivery, reason: str, message: str, took: float) -> None:
        now, message = self._now(), _short(message)
        _log.error(
            "delivery given up",
            notifier=delivery.notifier,
            key=delivery.change.key,
            attempt=delivery.attempts + 1,
            reason=reason,
            error=message,
        )
        self._settle(delivery, "dead", reason, took, lambda: self._store.mark_dead(delivery.id, now, reason, message))

    def _settle(self, delivery: Delivery, outcome: Outcome, reason: str, took: float, mark: Callable[[], None]) -> None:
        age = max(self._now() - delivery.created, 0.0)
        self._observe(Attempt(delivery.notifier, outcome, reason, took, age))
        self._unmarked[delivery.id] = mark
        self._mark_left_over()


def _where(error: Exception) -> str:
    """Kind and place of an unexpected exception, without its text: nobody vouches that it holds no secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"the notifier failed with {type(error).__name__} in {frame.name} (line {frame.lineno} of {frame.filename})"


def _short(message: str) -> str:
    return message[:_MESSAGE_LIMIT].encode("utf-8", "replace").decode()
