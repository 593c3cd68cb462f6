"""Sends a few synthetic events to a monitor's notifiers, each opened and resolved before the next."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.delivery.recipients import Recipients
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Notifier
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.store.store import Store

__all__ = ["Sent", "send"]

_PATIENCE = 30.0
"""Seconds for all deliveries of one change, retries included."""
_GIVE_UP = timedelta(seconds=_PATIENCE)
_WAIT = 0.5


@dataclass(frozen=True)
class Sent:
    """Messages ``delivered`` to a notifier, of those ``wanted``, and the reasons of failures, in one word each."""

    notifier: str
    delivered: int
    wanted: int
    reasons: tuple[str, ...] = ()


def send(
    events: Sequence[tuple[EventChange, EventChange]],
    monitor: MonitorConfig,
    routes: Sequence[Route],
    notifiers: Mapping[str, Notifier],
    work: Path,
    *,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: random.Random,
) -> list[Sent]:
    """Deliver each event's opening, then its end, to the recipients of a real one, at the notifiers' own pace.

    For an opened event the end is always sent, also after a failure. The outbox is a file of its own in ``work``; times
    of the calendar are not looked at.
    """
    attempts: list[Attempt] = []
    with Store(work / "synthetic.sqlite", now=now) as store:
        dispatcher = Dispatcher(
            store, notifiers, now=now, random=jitter, observe=attempts.append, sleep=sleep, give_up_after=_GIVE_UP
        )
        recipients = Recipients(monitor.notify, routes)
        wanted: dict[str, int] = {}

        def deliver(change: EventChange) -> None:
            names = recipients.of(change, store.notified([change.event.id]).get(change.event.id, ()))
            for name in names:
                wanted[name] = wanted.get(name, 0) + 1
            part = GroupCommit(change.event.group, [change])
            store.commit_tick(TickCommit(change.event.monitor, [part], recipients={change.key: names}))
            deadline = now() + _PATIENCE
            dispatcher.drain(deadline)
            while store.counts()["pending"] and now() < deadline:
                sleep(_WAIT)
                dispatcher.drain(deadline)

        for opened, resolved in events:
            try:
                deliver(opened)
            finally:
                deliver(resolved)
    return [_sent(name, number, [one for one in attempts if one.notifier == name]) for name, number in wanted.items()]


def _sent(name: str, wanted: int, attempts: Sequence[Attempt]) -> Sent:
    delivered = sum(one.outcome == "delivered" for one in attempts)
    reasons = dict.fromkeys(one.reason for one in attempts if one.outcome != "delivered") if delivered < wanted else {}
    return Sent(name, delivered, wanted, tuple(reasons))
