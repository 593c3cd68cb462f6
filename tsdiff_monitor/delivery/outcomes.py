"""Notes in the store what became of a delivery, and decides about those that failed: again later, or dead.

A notifier only says whether a failure is recoverable. The rules: ``docs/events.md``.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable

import structlog

from tsdiff_monitor.delivery.attempt import Attempt, Outcome
from tsdiff_monitor.delivery.backoff import delivery_backoff
from tsdiff_monitor.delivery.circuit_breaker import Breakers
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Receipt
from tsdiff_monitor.store.store import Delivery, Store

__all__ = ["Outcomes", "bug_in_notifier"]

_MESSAGE_LIMIT = 500  # characters of an error kept in the store and the log
_GRACE = 3600.0  # seconds: after a start nothing is given up sooner, however old it is

_log = structlog.get_logger(__name__)


class Outcomes:
    """For one thread at a time. Every method may raise ``StoreError``; what it was to note is noted later then.

    ``now`` and ``timer`` as for the dispatcher, ``give_up_after`` in seconds. ``took`` are seconds of an attempt,
    ``pace`` the seconds that the notifier wants between two.
    """

    def __init__(
        self,
        store: Store,
        breakers: Breakers,
        *,
        now: Callable[[], float],
        timer: Callable[[], float],
        random: random.Random,
        give_up_after: float,
        observe: Callable[[Attempt], None],
    ) -> None:
        self._store = store
        self._breakers = breakers
        self._now = now
        self._timer = timer
        self._random = random
        self._give_up_after = give_up_after
        self._observe = observe
        self._unmarked: dict[int, Callable[[], None]] = {}
        self._patient_until = timer() + min(give_up_after, _GRACE)

    def mark_left_over(self) -> None:
        """Note what could not be noted when it came about: those deliveries must not be made again."""
        for delivery_id, mark in list(self._unmarked.items()):
            mark()
            del self._unmarked[delivery_id]

    def delivered(self, delivery: Delivery, receipt: Receipt | None, pace: float, took: float) -> None:
        """The notifier has taken it, in time or late."""
        self._breakers.answered(delivery.notifier, pace=pace)
        now = self._now()
        self._settle(
            delivery, "delivered", "", took, lambda: self._store.mark_delivered(delivery.id, now, receipt)
        )  # fmt: skip

    def failed(self, delivery: Delivery, failure: DeliveryError, pace: float, took: float) -> None:
        """The attempt failed: the delivery is due again later, or dead."""
        if not failure.recoverable:
            self._breakers.answered(delivery.notifier, pace=pace)
            self.dead(delivery, failure.reason, str(failure), took)
            return
        self._breakers.failed(delivery.notifier, pace=pace, retry_after=failure.retry_after)
        wait = delivery_backoff(self._random).pause(delivery.attempts + 1)
        asked = max(wait, failure.retry_after or 0.0)
        if self._too_old(delivery, asked):
            self.dead(delivery, failure.reason, str(failure), took)
        else:
            # What the other side asked for holds for all that it is sent: its breaker sees to that.
            self._again(delivery, failure, took, wait, asked)

    def timed_out(self, delivery: Delivery, failure: DeliveryError, pace: float, took: float) -> None:
        """The attempt is counted as failed, while it goes on: it may still deliver, so nothing is given up for it."""
        self._breakers.failed(delivery.notifier, pace=pace)
        wait = delivery_backoff(self._random).pause(delivery.attempts + 1)
        self._again(delivery, failure, took, wait, wait)

    def returned_late(self, delivery: Delivery, failure: DeliveryError, pace: float, took: float) -> None:
        """An attempt that was counted as failed has now failed indeed: dead, or due when it was to be."""
        if failure.recoverable and not self._too_old(delivery, 0.0):
            _log.info("the attempt that timed out has failed", notifier=delivery.notifier, reason=failure.reason)
        else:
            self.failed(delivery, failure, pace, took)

    def dead(self, delivery: Delivery, reason: str, message: str, took: float) -> None:
        """Give the delivery up."""
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

    def _too_old(self, delivery: Delivery, wait: float) -> bool:
        too_old = self._now() + wait > delivery.created + self._give_up_after
        return too_old and self._timer() + wait > self._patient_until

    def _again(self, delivery: Delivery, failure: DeliveryError, took: float, wait: float, asked: float) -> None:
        now, message = self._now(), _short(str(failure))
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
            lambda: self._store.mark_failed(delivery.id, now, now + wait, failure.reason, message),
        )

    def _settle(self, delivery: Delivery, outcome: Outcome, reason: str, took: float, mark: Callable[[], None]) -> None:
        age = max(self._now() - delivery.created, 0.0)
        self._observe(Attempt(delivery.notifier, outcome, reason, took, age))
        self._unmarked[delivery.id] = mark
        self.mark_left_over()


def _short(message: str) -> str:
    return message[:_MESSAGE_LIMIT].encode("utf-8", "replace").decode()


def bug_in_notifier(error: Exception) -> DeliveryError:
    """An unexpected exception as a failure: its kind and place, without its text, which may hold a secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.name} (line {frame.lineno} of {frame.filename})"
    return DeliveryError(f"the notifier failed with {type(error).__name__} in {place}", recoverable=True, reason="bug")
