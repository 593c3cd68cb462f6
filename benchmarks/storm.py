"""A storm: very many events at one moment, to places of which each takes only so much. Part of ``benchmarks.crash``.

The clock is a stand-in, so that the hour that the slowest place needs takes seconds.
"""

from __future__ import annotations

import gc
import math
import random
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.plugins import Notifier
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, example_details, example_event

__all__ = ["LIMITS", "StormResult", "storm"]

LIMITS: Mapping[str, tuple[float, float, int]] = {
    "slack": (1.0, 1.0, 1),
    "pagerduty": (0.5, 0.5, 1),
    "grafana": (0.0, 0.1, 20),
    "alertmanager": (0.0, 0.0, 1),
    "email": (0.0, 2.0, 30),
    "webhook": (0.0, 0.2, 5),
    "console": (0.0, 0.0, 1),
}
"""The pace that a kind of notifier keeps by itself, the seconds its place wants for each message, and how many may come
at once before it says 429. Paces are those of the notifiers, limits of places are examples."""

_STEP = 1.0  # the daemon delivers every second
_TOOK = 0.005


@dataclass(frozen=True)
class StormResult:
    """``seconds``: until a place had heard of all; ``too_soon``: messages sent before the time that a place asked for.

    ``refused``: how often places said 429. ``peak_bytes``: what delivering took beside what was there before.
    """

    events: int
    lost: int
    too_soon: int
    refused: dict[str, int]
    seconds: dict[str, float]
    peak_bytes: int


class _Limited:
    """A place with a bucket of tokens. After a 429 nothing may come before the time it named."""

    def __init__(self, clock: FakeClock, pace: float, each: float, burst: int) -> None:
        self.pace = pace
        self.taken: set[str] = set()
        self.refused = self.too_soon = 0
        self.done = math.nan
        self._clock, self._each, self._burst = clock, each, burst
        self._tokens, self._filled, self._closed_until = float(burst), clock.now, -math.inf

    def notify(self, change: EventChange) -> None:
        self._clock.advance(_TOOK)
        now = self._clock.now
        self.too_soon += now < self._closed_until
        if self._each:
            self._tokens = min(self._tokens + (now - self._filled) / self._each, self._burst)
            self._filled = now
            if self._tokens < 1:
                self.refused += 1
                wait = math.ceil((1 - self._tokens) * self._each)
                self._closed_until = now + wait
                raise DeliveryError("slow down", recoverable=True, reason="rate_limited", retry_after=float(wait))
            self._tokens -= 1
        self.taken.add(change.key)
        self.done = now


def storm(folder: Path, events: int = 1000, limits: Mapping[str, tuple[float, float, int]] = LIMITS) -> StormResult:
    """Commit ``events`` openings at one time, and deliver them as the daemon does, until nothing is pending."""
    clock = FakeClock()
    places = {name: _Limited(clock, *limit) for name, limit in limits.items()}
    notifiers: dict[str, Notifier] = dict(places)
    with Store(folder / "state.sqlite", now=clock) as store:
        keys = set()
        details = example_details()
        now = pd.Timestamp(clock.now, unit="s", tz="UTC")
        for number in range(events):
            event = example_event(id=f"{number:016x}", group=(("host", f"web-{number}"),), start=now, last=now)
            change = EventChange(Change.opened, event, 1, details)
            store.commit("hosts", event.group, now, {}, [change], tuple(places))
            keys.add(change.key)
        jitter = random.Random(0)  # noqa: S311
        dispatcher = Dispatcher(store, notifiers, now=clock, random=jitter, sleep=clock.advance)
        began = clock.now
        gc.collect()
        tracemalloc.start()
        while store.counts()["pending"]:
            dispatcher.drain(clock.now + 5 * _STEP)
            clock.advance(_STEP)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        dead = store.counts()["dead"]
    return StormResult(
        events=events,
        lost=dead + sum(len(keys - place.taken) for place in places.values()),
        too_soon=sum(place.too_soon for place in places.values()),
        refused={name: place.refused for name, place in places.items()},
        seconds={name: round(place.done - began, 1) for name, place in places.items()},
        peak_bytes=peak,
    )
