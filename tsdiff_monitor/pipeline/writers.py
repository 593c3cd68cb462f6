"""Writers in the background: a tick hands its scores over and goes on.

Each writer has one thread at most. Batches wait up to a bound. A writer that works is waited for when much has to be
caught up; one that makes no progress holds up nothing, and what it cannot take is dropped, counted and reported.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.deadline import BusyError, Lane
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Group
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["BackgroundWriter", "QueuedSinks"]

_CELLS = 4_000_000
"""Values, attributions and expected values that wait for one writer at most: some tens of MiB."""
_PATIENCE = 5.0
"""Seconds without progress after which a writer with a full queue counts as hanging."""

_Key = tuple[str, Group]


class BackgroundWriter:
    """A writer's batches in the order of their commits, written by a thread of its own. Thread-safe.

    ``cells``: numbers that wait at most; ``patience``: seconds that a full queue may stand still.
    """

    def __init__(self, name: str, writer: Writer, *, cells: int = _CELLS, patience: float = _PATIENCE) -> None:
        self._name = name
        self._writer = writer
        self._limit = cells
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: deque[ScoreBatch] = deque()
        self._cells = 0
        self._done = 0  # batches, counts progress
        self._working = False
        self._hanging = False
        self._written: dict[_Key, pd.Timestamp] = {}
        self._dropped: set[_Key] = set()
        self._errors: dict[str, list[TsdiffError]] = {}
        self._lane = Lane(f"write-{name}")

    def put(self, batch: ScoreBatch) -> bool:
        """Have a batch written soon; False when the queue is full and stands still: the batch is dropped."""
        size = _size(batch)
        with self._changed:
            while self._waiting and self._cells + size > self._limit:
                before = self._done
                if self._hanging or not self._changed.wait_for(lambda: self._done != before, self._patience):  # noqa: B023
                    self._hanging = True
                    self._dropped.add((batch.monitor, batch.group))
                    return False
            self._waiting.append(batch)
            self._cells += size
        self._begin()
        return True

    def written(self, monitor: str) -> dict[Group, pd.Timestamp]:
        """The newest row written of each of a monitor's groups; it stays where it is once a batch was dropped."""
        with self._changed:
            return {group: time for (name, group), time in self._written.items() if name == monitor}

    def retain(self, monitor: str, groups: Collection[Group]) -> None:
        """Forget what is known of all other groups of a monitor."""
        with self._changed:
            gone = {key for key in (*self._written, *self._dropped) if key[0] == monitor and key[1] not in groups}
            self._dropped -= gone
            for key in gone:
                self._written.pop(key, None)

    def failures(self, monitor: str) -> list[TsdiffError]:
        """The errors of a monitor's batches since the last call."""
        with self._changed:
            return self._errors.pop(monitor, [])

    def drain(self, seconds: float) -> int:
        """Wait until all is written, ``seconds`` at most; returns how many batches are not."""
        self._begin()
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._working, seconds)
            return len(self._waiting)

    def _begin(self) -> None:
        """Start the thread's work where there is some and it does not work."""
        with self._changed:
            if self._working or not self._waiting:
                return
            self._working = True
        try:
            self._lane.start(self._work, done=self._ended)
        except (BusyError, RuntimeError):  # it is about to end and begins anew then; or no more threads can be had
            with self._changed:
                self._working = False

    def _ended(self) -> None:
        with self._changed:
            self._working = False
            self._changed.notify_all()
        self._begin()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    return
                batch = self._waiting[0]
            error = self._write(batch)
            with self._changed:
                self._waiting.popleft()
                self._cells -= _size(batch)
                self._done += 1
                self._hanging = False
                key = (batch.monitor, batch.group)
                if key not in self._dropped:
                    self._written[key] = batch.frame.end - batch.frame.step
                if error is not None:
                    self._errors.setdefault(batch.monitor, []).append(error)
                self._changed.notify_all()

    def _write(self, batch: ScoreBatch) -> TsdiffError | None:
        try:
            self._writer.write(batch)
        except BaseException as error:  # a writer may be anybody's code, and the next batch is due
            return known_error(error, monitor=batch.monitor, writer=self._name)
        return None


def _size(batch: ScoreBatch) -> int:
    """Values and attributions, and three expected ones where there are any."""
    return max(int(batch.frame.values.size), 1) * (2 if batch.expected is None else 5)


@dataclass
class QueuedSinks:
    """The background writers of one monitor. Failures are reported by the next tick."""

    monitor: str
    writers: Mapping[str, BackgroundWriter]
    _taken: set[Group] = field(default_factory=set)
    writes_at_once: ClassVar[bool] = False

    def __bool__(self) -> bool:
        return bool(self.writers)

    def has_taken(self, group: Group) -> bool:
        """True if rows of the group were handed over."""
        return group in self._taken

    def written(self) -> Mapping[Group, pd.Timestamp]:
        """The newest row of each group that every writer has written."""
        by_writer = [writer.written(self.monitor) for writer in self.writers.values()]
        groups = set.intersection(*(set(times) for times in by_writer)) if by_writer else set()
        return {group: min(times[group] for times in by_writer) for group in groups}

    def retain(self, groups: Collection[Group]) -> None:
        """Forget what is known of all other groups."""
        if not self._taken <= set(groups):
            self._taken &= set(groups)
            for writer in self.writers.values():
                writer.retain(self.monitor, groups)

    def write(self, batches: Iterable[ScoreBatch]) -> list[tuple[str, TsdiffError]]:
        """Hand the batches over; gives what failed since the last tick, and what is dropped now."""
        dropped = dict.fromkeys(self.writers, 0)
        for batch in batches:
            self._taken.add(batch.group)
            for name, writer in self.writers.items():
                if not writer.put(batch):
                    dropped[name] += len(batch.scores)
        errors: list[tuple[str, TsdiffError]] = []
        for name, writer in self.writers.items():
            errors.extend((f"writer {name}", error) for error in writer.failures(self.monitor))
            if dropped[name]:
                text = f"writer {name}: it does not keep up; {dropped[name]} scored rows are not written"
                errors.append((f"writer {name}", WriteError(text, recoverable=False, reason="behind")))
        return errors
