"""Writers in the background: a tick hands its scores over and goes on, without waiting for any writer.

Each writer has one thread at most. A writer that hangs holds up nothing but itself: its batches wait up to a bound, and
what comes beyond is dropped, counted and reported.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.deadline import BusyError, Lane
from tsdiff_monitor.system.internal_error import unexpected
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
        self._waiting: deque[ScoreBatch] = deque()
        self._cells = 0
        self._working = False
        self._errors: dict[str, list[TsdiffError]] = {}
        self._lane = Lane(f"write-{name}")

    def put(self, batch: ScoreBatch) -> bool:
        """Have a batch written soon; False when too much is waiting already, and the batch is dropped."""
        size = max(batch.frame.values.size, 1)
        with self._changed:
            if self._waiting and self._cells + size > self._limit:
                return False
            self._waiting.append(batch)
            self._cells += size
            if self._working:
                return True
            self._working = True
        try:
            self._lane.start(self._work)
        except (BusyError, RuntimeError):  # the thread of the last batch is about to end, or no more can be had
            with self._changed:
                self._working = False
        return True

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
                batch = self._waiting[0]
            error = self._write(batch)
            with self._changed:
                self._waiting.popleft()
                self._cells -= max(batch.frame.values.size, 1)
                if error is not None:
                    self._errors.setdefault(batch.monitor, []).append(error)

    def _write(self, batch: ScoreBatch) -> TsdiffError | None:
        try:
            self._writer.write(batch)
        except WriteError as error:
            return error
        except Exception as error:  # a writer may be anybody's code
            return unexpected(error, monitor=batch.monitor, writer=self._name)
        return None


@dataclass(frozen=True)
class QueuedSinks:
    """The background writers of one monitor. Failures are reported by the next tick."""

    monitor: str
    writers: Mapping[str, BackgroundWriter]

    def __bool__(self) -> bool:
        return bool(self.writers)

    def write(self, batches: Iterable[ScoreBatch]) -> list[tuple[str, TsdiffError]]:
        """Hand the batches over; gives what failed since the last tick, and what is dropped now."""
        dropped = dict.fromkeys(self.writers, 0)
        for batch in batches:
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
