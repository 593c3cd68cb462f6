"""A miniature of the daemon for the crash test: score, commit, deliver, until the data ends or it is killed.

``python crashing_worker.py DIRECTORY STATEMENT NOTIFICATION``: dies without any clean-up (as from ``kill -9``) before
the STATEMENT-th SQL statement or right after the NOTIFICATION-th delivery; 0 for never.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores

ROWS, CHUNK = 160, 8
NOTIFIERS = ("slack", "console")
POLICY = EventPolicy(update_every=timedelta(minutes=6), cooldown=timedelta(minutes=8), resolve_rows=3)


def make_scores() -> Scores:
    """Four bursts of high scores, noisy at their edges."""
    source = np.random.default_rng(5)
    score = source.uniform(0.1, 0.7, ROWS) + 1.6 * (np.arange(ROWS) % 40 > 22)
    attribution = source.dirichlet([1.0, 1.0, 1.0], ROWS)
    times = pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC")
    return Scores(times, tuple(Series(name) for name in ("cpu", "disk", "net")), score, attribution)


def explain(time: pd.Timestamp, names: Sequence[str]) -> Mapping[str, tuple[float, float, float, float]]:
    return dict.fromkeys(names, (float(time.minute), 1.0, 0.0, 2.0))


class Mortal(sqlite3.Connection):
    """Ends the process before the n-th statement."""

    left = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        Mortal.left -= 1
        if Mortal.left == 0:
            os._exit(9)
        return super().execute(*arguments)


class Inbox:
    """A place that keeps, in a file, the keys it was sent; sometimes it is busy, and it may be the last act."""

    left = 0

    def __init__(self, path: Path, *, failure_every: int) -> None:
        self._path = path
        self._failure_every = failure_every
        self._calls = 0

    def notify(self, change: EventChange) -> None:
        self._calls += 1
        if self._failure_every and self._calls % self._failure_every == 0:
            raise DeliveryError("busy", recoverable=True, reason="timeout")
        with self._path.open("a") as inbox:
            inbox.write(f"{change.key} {change.change.value}\n")
        Inbox.left -= 1
        if Inbox.left == 0:
            os._exit(9)


def main(directory: Path, statement: int, notification: int) -> None:
    scores, seconds = make_scores(), [0.0]
    Mortal.left, Inbox.left = statement, notification

    def now() -> float:
        seconds[0] += 1.0
        return seconds[0]

    with Store(directory / "state.db", now=now, factory=Mortal) as store:
        inboxes = {name: Inbox(directory / name, failure_every=3 * (name == "slack")) for name in NOTIFIERS}
        dispatcher = Dispatcher(store, inboxes, now=now, random=random.Random(1), give_up_after=timedelta(days=1))
        while True:
            saved = store.group_state("hosts", ())
            first = 0 if saved.last_scored is None else int(scores.times.searchsorted(saved.last_scored)) + 1
            if first >= ROWS:
                break
            rows = slice(first, first + CHUNK)
            chunk = Scores(scores.times[rows], scores.series, scores.score[rows], scores.attribution[rows])
            tracker = EventTracker(POLICY, "hosts", (), TrackerState.from_json(saved.tracker_json))
            changes = tracker.advance(chunk, explain)
            store.commit("hosts", (), chunk.times[-1], tracker.state.to_json(), changes, NOTIFIERS)
            dispatcher.run_due()
        while store.counts()["pending"]:
            seconds[0] += 60.0
            dispatcher.run_due()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
