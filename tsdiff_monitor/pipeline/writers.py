"""Writers in the background: a tick hands its scores over and goes on, without waiting for any writer.

Each writer has one thread at most. A writer that hangs holds up nothing but itself: its batches wait up to a bound, and
what comes beyond is dropped, counted and reported.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.deadline import BusyError, Lane
from tsdiff_monitor.system.internal_error import internal_error
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["BackgroundWriter", "QueuedSinks"]

_CELLS = 4_000_000
"""Scores and attributions that wait for one writer at most: some 32 MiB."""


class BackgroundWriter:
    """A writer's batches in the order of their commits, written by a thread of its own. Thread-safe.

    ``cells``: rows times metrics that wait at most.
    """

    def __init__(self, name: str, writer: Writer, *, cells: int = _CELLS) -> None:
        self._name = name
        self._writer = writer
        self._limit = cells
        self._changed = threading.Condition()
        self._waiting: deque[ScoreBatch | _Mark] = deque()
        self._written: dict[str, pd.Timestamp] = {}
        self._incomplete: set[str] = set()
        self._cells = 0
        self._working = False
        self._errors: dict[str, list[TsdiffError]] = {}
        self._lane = Lane(f"write-{name}")

    def put(self, batch: ScoreBatch) -> bool:
        """Have a batch written soon; False when too much is waiting already, and the batch is dropped."""
        size = _size(batch)
        with self._changed:
            if self._waiting and self._cells + size > self._limit:
                self._incomplete.add(batch.monitor)
                return False
            self._cells += size
        self._append(batch)
        return True

    def mark(self, monitor: str, until: pd.Timestamp) -> None:
        """Note that all scores of the monitor's rows before ``until`` have been put."""
        self._append(_Mark(monitor, until))

    def written(self, monitor: str) -> pd.Timestamp | None:
        """The newest mark of a monitor before which nothing waits any more; it stops at a batch that was dropped."""
        with self._changed:
            return self._written.get(monitor)

    def _append(self, item: ScoreBatch | _Mark) -> None:
        with self._changed:
            self._waiting.append(item)
            if self._working:
                return
            self._working = True
        try:
            self._lane.start(self._work)
        except (BusyError, RuntimeError):  # the thread of the last batch is about to end, or no more can be had
            with self._changed:
                self._working = False

    def failures(self, monitor: str) -> list[TsdiffError]:
        """The errors of a monitor's batches since the last call."""
        with self._changed:
            return self._errors.pop(monitor, [])

    def drain(self, seconds: float) -> int:
        """Wait until all is written, ``seconds`` at most; returns how many batches are not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._working, seconds)
            return len(self._waiting)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._working = False
                    self._changed.notify_all()
                    return
                item = self._waiting[0]
            error = None if isinstance(item, _Mark) else self._write(item)
            with self._changed:
                self._waiting.popleft()
                if not isinstance(item, _Mark):
                    self._cells -= _size(item)
                elif item.monitor not in self._incomplete:
                    self._written[item.monitor] = item.until
                if error is not None:
                    self._errors.setdefault(item.monitor, []).append(error)

    def _write(self, batch: ScoreBatch) -> TsdiffError | None:
        try:
            self._writer.write(batch)
        except WriteError as error:
            return error
        except Exception as error:  # a writer may be anybody's code
            return internal_error(error, monitor=batch.monitor, writer=self._name)
        return None


@dataclass(frozen=True)
class _Mark:
    """All scores of a monitor's rows before ``until`` come before this."""

    monitor: str
    until: pd.Timestamp


def _size(batch: ScoreBatch) -> int:
    return max(int(batch.frame.values.size), 1)


@dataclass
class QueuedSinks:
    """The background writers of one monitor. Failures are reported by the next tick."""

    monitor: str
    writers: Mapping[str, BackgroundWriter]
    is_new: bool = True

    def __bool__(self) -> bool:
        return bool(self.writers)

    @property
    def written(self) -> pd.Timestamp | None:
        """The end of the newest tick all of whose scores are with the writers."""
        times = [writer.written(self.monitor) for writer in self.writers.values()]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(times) else None

    def write(self, batches: Iterable[ScoreBatch], until: pd.Timestamp) -> list[tuple[str, TsdiffError]]:
        """Hand the batches over; gives what failed since the last tick, and what is dropped now."""
        self.is_new = False
        dropped = dict.fromkeys(self.writers, 0)
        for batch in batches:
            for name, writer in self.writers.items():
                if not writer.put(batch):
                    dropped[name] += len(batch.scores)
        for writer in self.writers.values():
            writer.mark(self.monitor, until)
        errors: list[tuple[str, TsdiffError]] = []
        for name, writer in self.writers.items():
            errors.extend((f"writer {name}", error) for error in writer.failures(self.monitor))
            if dropped[name]:
                text = f"writer {name}: it does not keep up; {dropped[name]} scored rows are not written"
                errors.append((f"writer {name}", WriteError(text, recoverable=False, reason="behind")))
        return errors
