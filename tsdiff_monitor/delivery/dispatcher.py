"""Takes due deliveries from the store to their notifiers, at least once each.

Waiting, giving up and keeping one notifier's failures from the others is done here and in
:mod:`tsdiff_monitor.delivery.outcomes`, in one place for all notifiers. The rules: ``docs/events.md``.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tsdiff_monitor.delivery.attempt import Attempt
from tsdiff_monitor.delivery.backlog import BATCH, LOOK_AGAIN, Backlog
from tsdiff_monitor.delivery.backoff import LONGEST
from tsdiff_monitor.delivery.circuit_breaker import Breakers
from tsdiff_monitor.delivery.outcomes import Outcomes, bug_in_notifier
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.plugins import Notifier, Receipt, pace_of, receipt_keeper
from tsdiff_monitor.store.store import Delivery, Store
from tsdiff_monitor.system.deadline import Call

__all__ = ["ATTEMPT_TIMEOUT", "Attempt", "Dispatcher"]

ATTEMPT_TIMEOUT = timedelta(seconds=60)
_JUMP = 30.0  # seconds: what a clock gains at once beyond this was put forward

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Flight:
    """An attempt that was begun at ``began`` and has not been settled; times of the timer."""

    delivery: Delivery
    pace: float
    began: float
    call: Call[Receipt | None] | None = None
    ended: float = math.nan
    overdue: bool = False


class Dispatcher:
    """Delivers what :class:`~tsdiff_monitor.store.store.Store` holds as due.

    ``now`` returns Unix seconds, ``timer`` seconds that no change of the clock touches (left out: ``time.monotonic``,
    or ``now`` where that is given), ``random`` spreads retries, ``observe`` gets every attempt. A delivery that would
    have to wait beyond ``give_up_after`` since its change was committed is dead, but none is in the first hour after
    the start. One run at a time: a second thread waits for the first.

    Each notifier is given one delivery at a time, through ``turns``. Where those have threads, notifiers do not wait
    for each other, and an attempt that has not returned after ``attempt_timeout`` counts as failed; its notifier gets
    nothing more until it has. A success that comes later still is one. ``wait`` waits for the event that says that an
    attempt has returned, so many seconds at most.
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
        attempt_timeout: timedelta = ATTEMPT_TIMEOUT,
        turns: Turns | None = None,
        observe: Callable[[Attempt], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._store = store
        self._notifiers = dict(notifiers)
        self._now = now
        self._timer = timer or (time.monotonic if now is time.time else now)
        self._timeout = attempt_timeout.total_seconds()
        self._turns = turns or Turns()
        self._sleep = sleep
        self._wait = wait
        self._running = threading.Lock()
        self._returned = threading.Event()
        self._flights: list[_Flight] = []
        self._breakers = Breakers(self._timer, random)
        self._outcomes = Outcomes(
            store,
            self._breakers,
            now=now,
            timer=self._timer,
            random=random,
            give_up_after=give_up_after.total_seconds(),
            observe=observe,
        )
        self._offset = now() - self._timer()

    def run_due(self, limit: int = 1000) -> int:
        """Attempt at most ``limit`` due deliveries and return how many were attempted.

        Raises ``StoreError`` and no error of a notifier.
        """
        return self._run(limit, math.inf, math.inf)

    def drain(self, deadline: float, *, patience: float = math.inf) -> int:
        """Attempt deliveries until nothing is due or ``deadline`` (Unix seconds); returns how many were attempted.

        A notifier's own pace is waited for, an attempt under way for ``patience`` seconds at most: what became of it is
        settled by the next run. Deliveries that wait for a retry are not waited for: they stay in the store. A clock
        that is changed meanwhile does not move the deadline.
        """
        attempts, until = 0, self._timer() + deadline - self._now()
        while True:
            made = self._run(BATCH, until, patience)
            attempts += made
            if made:
                continue
            wait = self._breakers.pace_left()
            skip = self._breakers.failing() | self._turns.unavailable()
            if wait is None or self._timer() + wait >= until or not self._due(1, skip):
                return attempts
            self._sleep(wait)

    def failing(self) -> set[str]:
        """The notifiers that failed and have neither taken nor refused anything since. Any thread may ask."""
        return self._breakers.not_closed()

    def hanging(self) -> list[str]:
        """The notifiers that have not returned from an attempt, sorted. Any thread may ask."""
        return sorted(flight.delivery.notifier for flight in list(self._flights))

    def _run(self, limit: int, until: float, patience: float) -> int:
        """``until``: a time of the timer."""
        timeout = -1.0 if math.isinf(until) else max(until - self._timer(), 0.0)
        if not self._running.acquire(timeout=timeout):
            return 0
        try:
            self._outcomes.mark_left_over()
            self._follow_the_clock()
            return self._work(limit, until, patience)
        finally:
            self._running.release()

    def _work(self, limit: int, until: float, patience: float) -> int:
        attempts, backlog = 0, Backlog(self._due)
        while True:
            self._returned.clear()
            self._land()
            now = self._timer()
            if now >= until:
                return attempts
            begun = self._begin(backlog, limit - attempts, until)
            attempts += begun
            if begun:
                continue
            ends = [end for flight in self._flights if (end := self._until(flight, patience)) > now]
            if not ends:
                return attempts
            self._wait(self._returned, min(*ends, until, now + LOOK_AGAIN) - now)

    def _begin(self, backlog: Backlog, limit: int, until: float) -> int:
        """Give each notifier that is free its next delivery; returns how many got one."""
        begun = 0
        resting, taken = self._breakers.resting(), self._turns.unavailable()
        for delivery in backlog.next(limit, resting, taken, self._timer()):
            if begun == limit or self._timer() >= until:
                break
            if not self._turns.take(delivery.notifier):
                continue
            backlog.drop(delivery)
            self._attempt(delivery)
            begun += 1
        return begun

    def _due(self, limit: int, skip: set[str]) -> list[Delivery]:
        return self._store.due(self._now(), limit, skip=skip, horizon=LONGEST)

    def _until(self, flight: _Flight, patience: float) -> float:
        """The time of the timer up to which the attempt is waited for; past for one that is overdue."""
        return -math.inf if flight.overdue else flight.began + min(self._timeout, patience)

    def _follow_the_clock(self) -> None:
        """The time by which a clock was put forward, or the machine slept, makes no delivery older."""
        now = self._now()
        ahead = now - self._timer() - self._offset
        if ahead > _JUMP:
            self._store.extend_deadlines(ahead, now)
            _log.warning("the clock was put forward: pending deliveries are no older for it", seconds=round(ahead))
        self._offset += ahead

    def _attempt(self, delivery: Delivery) -> None:
        """Begin an attempt at a notifier that was taken; settle it at once if it has returned."""
        name = delivery.notifier
        notifier = self._notifiers.get(name)
        try:
            if notifier is None:
                message = f"there is no notifier named {name} in the configuration any more"
                self._outcomes.dead(delivery, "unknown_notifier", message, 0.0)
                self._turns.give_back(name)
                return
            keeper = receipt_keeper(notifier)
            receipt = None if keeper is None else self._store.receipt(delivery.change.event.id, name)
            flight = _Flight(delivery, pace_of(notifier), self._timer())

            def notify() -> Receipt | None:
                try:
                    if keeper is not None:
                        return keeper.notify(delivery.change, receipt)
                    notifier.notify(delivery.change)
                    return None
                finally:
                    flight.ended = self._timer()

            flight.call = self._turns.start(name, notify, self._returned.set)
        except BaseException:
            self._turns.give_back(name)
            raise
        self._flights.append(flight)
        self._land()

    def _land(self) -> None:
        """Settle the attempts that have returned, and count those that are overdue."""
        for flight in list(self._flights):
            if flight.call is not None and flight.call.returned:
                self._flights.remove(flight)
                try:
                    self._settle(flight, flight.call)
                finally:
                    self._turns.give_back(flight.delivery.notifier)
            elif not flight.overdue and self._timer() - flight.began >= self._timeout:
                flight.overdue = True
                message = f"the notifier has not answered within {self._timeout:g} s; it gets nothing more until it has"
                failure = DeliveryError(message, recoverable=True, reason="timeout")
                self._outcomes.timed_out(flight.delivery, failure, flight.pace, self._timer() - flight.began)

    def _settle(self, flight: _Flight, call: Call[Receipt | None]) -> None:
        took = flight.ended - flight.began
        try:
            receipt = call.result()
        except DeliveryError as error:
            failure = error
        except Exception as error:  # third-party code: it must not stop the others
            failure = bug_in_notifier(error)
        else:
            self._outcomes.delivered(flight.delivery, receipt, flight.pace, took)
            return
        settle = self._outcomes.returned_late if flight.overdue else self._outcomes.failed
        settle(flight.delivery, failure, flight.pace, took)
