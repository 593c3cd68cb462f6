"""A daemon in miniature with faults at random moments, for :mod:`benchmarks.crash`.

The production path from scores on: event logic, incidents, store, outbox, dispatcher. Scores come from arrays
(:mod:`benchmarks.crash_scenario`) and the places that are notified write what they get into files, so that thousands of
crashes take minutes.

A crash is what ``kill -9`` leaves: at that very moment the database's files are copied as they are, and the next life
starts from the copy. No clean-up of the dying process (a rollback, a checkpoint) reaches it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks.crash_scenario import CONFIG, MONITOR, PLACES, START, STEP, Scenario, explain
from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.errors import DeliveryError, StoreError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.pipeline.commit import Outcome, commit_outcomes
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Notifier, Receipt
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["DATABASE", "CrashError", "Faults", "digest", "live"]

_CHUNK, _LULL = 8, 60.0
DATABASE = "state.sqlite"
_MOMENTS = {"statement": 50, "commit": 6, "message": 4, "steps": 4}
"""Of each kind, so many may pass at most before the next point."""


class CrashError(BaseException):
    """The process ends here; nothing may catch it."""


class Faults:
    """Fails at random moments: at the edges of SQL statements, commits and messages, and between two steps.

    ``folder`` is where the database is; after a crash, where its copy is. At most ``budget`` points; ``points`` counts
    them by kind.
    """

    def __init__(self, source: random.Random, folder: Path, budget: int) -> None:
        self.folder = folder
        self.budget = budget
        self.points: Counter[str] = Counter()
        self._random = source
        self._dead = False
        self._draw()

    def moment(self, edge: str, kind: str, errors: Sequence[Exception] = ()) -> None:
        """Maybe crash, or raise one of ``errors``, with which the process lives on."""
        if self._dead:
            raise CrashError
        if self.budget <= 0 or kind != self._kind:
            return
        self._left -= 1
        if self._left > 0:
            return
        self._draw()
        self.budget -= 1
        if errors and self._random.random() < 0.5:
            self.points[f"error {edge} {kind}"] += 1
            raise self._random.choice(errors)
        self.points[f"crash {edge} {kind}"] += 1
        self._dead = True
        self._snapshot()
        raise CrashError

    def revive(self) -> None:
        """A new process."""
        self._dead = False

    def _draw(self) -> None:
        """The next point: what it is at, and how many moments of that kind come before it."""
        self._kind = self._random.choice(tuple(_MOMENTS))
        self._left = self._random.randint(1, _MOMENTS[self._kind])

    def _snapshot(self) -> None:
        copy = self.folder.with_name(f"{self.folder.name.partition('-')[0]}-{self.points.total()}")
        copy.mkdir()
        for file in self.folder.iterdir():
            if not file.name.endswith("-shm"):  # rebuilt from the log, as after a reboot
                shutil.copyfile(file, copy / file.name)
        shutil.rmtree(self.folder)  # the dying process still has it open; it changes what is read no more
        self.folder = copy


def live(scenario: Scenario, folder: Path, inboxes: Path, clock: FakeClock, faults: Faults | None = None) -> None:
    """One life of the process: go on where the stored state ends, until all rows are scored and all is sent.

    Raises :class:`CrashError` where ``faults`` end it.
    """
    moment = faults.moment if faults is not None else _nothing
    with Store(folder / DATABASE, now=clock, factory=_connection(moment)) as store:
        events = {event.id: event for event in store.events()}
        assert all(member.event in events for event in events.values() for member in event.members), "half an incident"
        pipeline = _pipeline(store)
        opened = {name: _Place(inboxes / name, moment) for name in PLACES}
        jitter = random.Random(0)  # noqa: S311
        dispatcher = Dispatcher(store, cast(dict[str, Notifier], opened), now=clock, random=jitter, sleep=clock.advance)
        try:
            while True:
                try:
                    behind = _tick(pipeline, scenario, moment)
                    dispatcher.drain(clock() + 5.0)
                    if not behind and not store.counts()["pending"]:
                        return
                except StoreError:
                    pass  # as the daemon does: the next tick makes up for it
                clock.advance(_LULL)
        finally:
            for place in opened.values():
                place.close()


def digest(change: EventChange) -> str:
    """A digest of the change that a key stands for."""
    return hashlib.sha256(json.dumps(change.to_json(), sort_keys=True).encode()).hexdigest()[:16]


def _pipeline(store: Store) -> Pipeline:
    """The parts of one that committing needs; nothing is read or fit here."""
    absent = cast(Any, None)
    return Pipeline(MONITOR, CONFIG, model=absent, scheduler=absent, reader=absent, store=store, models=absent)


def _tick(pipeline: Pipeline, scenario: Scenario, moment: Callable[..., None]) -> bool:
    """Score the next rows of all groups, of one that could not be committed those before too; False without any."""
    store = pipeline.store
    last = store.last_scored(MONITOR)
    ahead = max(last.values(), default=START - STEP) + _CHUNK * STEP
    found: list[Outcome] = []
    for group, scores in scenario.scores.items():
        since = last.get(group, START - STEP)
        rows = slice(*scores.times.searchsorted([since, ahead], side="right"))
        chunk = Scores(scores.times[rows], scores.series, scores.score[rows], scores.attribution[rows])
        if not len(chunk.times):
            continue
        state = TrackerState.from_json(store.group_state(MONITOR, group).tracker_json)
        tracker = EventTracker(CONFIG.events, MONITOR, group, state)
        changes = tracker.advance(chunk, explain)
        found.append(Outcome(group, changes, chunk.times[-1], tracker.state.to_json()))
    moment("between", "steps")
    commit_outcomes(pipeline.spec, store, found, seen=dict.fromkeys(scenario.scores, ahead))  # failures: scored again
    moment("between", "steps")
    return bool(found)


def _nothing(edge: str, kind: str, errors: Sequence[Exception] = ()) -> None:
    """A moment in which nothing goes wrong."""


class _Place:
    """Keeps, in a file, the keys it was sent and what they stood for. Its receipt names the newest key it took."""

    keeps_receipts = True
    pace = 0.2

    def __init__(self, path: Path, moment: Callable[..., None]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._moment = moment

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        before = -1 if receipt is None else int(receipt["sequence"])
        assert before <= change.sequence, "the receipt is of a later change"
        self._moment("before a", "message", _TROUBLES)
        os.write(self._file, f"{change.key} {digest(change)}\n".encode())
        self._moment("after a", "message", _TROUBLES)
        return {"sequence": str(change.sequence)}

    def close(self) -> None:
        os.close(self._file)


_TROUBLES = (
    DeliveryError("no answer", recoverable=True, reason="timeout"),
    DeliveryError("slow down", recoverable=True, reason="rate_limited", retry_after=90.0),
    RuntimeError("a bug"),
)


def _connection(moment: Callable[..., None]) -> type[sqlite3.Connection]:
    class Faulty(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            # A rollback has nothing to write in a write-ahead log, and so nothing that can fail.
            errors = () if sql.startswith(("ROLLBACK", "PRAGMA")) else (sqlite3.OperationalError("disk I/O error"),)
            kind = "commit" if sql == "COMMIT" else "statement"
            moment("before a", kind, errors)
            cursor = super().execute(sql, *parameters)
            moment("after a", kind, errors)
            return cursor

    return Faulty
