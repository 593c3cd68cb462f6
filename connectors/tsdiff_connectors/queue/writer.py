"""Base of all writers to a store of series: a queue on disk, and a thread that drains it.

``write`` only puts rows into the queue, so that a slow or dead target does not hold up scoring; the thread sends what
waits, in order, in requests of many samples. While the target is down rows wait, also over a restart.
"""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import Field, field_validator

from tsdiff_connectors.queue.drain import Drain, Target
from tsdiff_connectors.queue.queue import WriteQueue
from tsdiff_connectors.queue.series import OWN_LABELS, SERIES, SeriesName, score_rows
from tsdiff_monitor.errors import StoreError, WriteError
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.fields import PositiveDuration
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["QueuedWriter", "WriterOptions"]

_CLOSE_SECONDS = 5.0
"""Limit for closing, in seconds: the process has about 30 s to end, and what is left waits on disk."""

_log = structlog.get_logger(__name__)


class WriterOptions(HttpOptions):
    """Keys of every writer over HTTP, beside those of the connection."""

    series: tuple[SeriesName, ...] = Field(default=SERIES, min_length=1)
    """Which series to write; `yhat`, `yhat_lower` and `yhat_upper` only come where a monitor has `provide_series`."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels added to every series that has none of that name."""
    max_samples_per_send: int = Field(default=20_000, ge=1, le=1_000_000)
    """Most samples in one request (one row of one group may be more)."""
    batch_send_deadline: Duration = timedelta(seconds=1)
    """Time that samples wait for others to go into one request with them."""
    give_up_after: PositiveDuration = timedelta(hours=1)
    """Longest time to go on with samples over which the server fails with status 500 and that may be the cause. Samples
    that wait because the server is down, overloaded or refuses our credentials are kept without such a limit."""
    queue_path: Path | None = None
    """File that holds what waits to be written; below `settings.storage_path` when left out."""
    queue_max_bytes: int = Field(default=1024**3, ge=1024**2)
    """Largest size of that file, in bytes; beyond it the oldest samples are dropped, counted and reported."""

    @field_validator("series")
    @classmethod
    def _once_each(cls, series: tuple[SeriesName, ...]) -> tuple[SeriesName, ...]:
        if len(set(series)) < len(series):
            raise ValueError("a series is named twice; name each once")
        return series

    @field_validator("labels")
    @classmethod
    def _good_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name, re.ASCII):
                raise ValueError(f"{name!r} is not a label name; use letters, digits and underscores")
            if name in OWN_LABELS:
                raise ValueError(f"the label {name} is set by the writer itself; choose another name")
        return labels


class QueuedWriter:
    """A writer whose rows go through a queue to ``target``. Thread-safe.

    The queue lies at ``queue_path``, else in the folder that the host gives (``context.storage``), else in memory.
    ``monotonic`` gives seconds of any beginning.
    """

    def __init__(
        self,
        config: WriterOptions,
        context: Context,
        target: Target,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = config
        self._context = context
        self._target = target
        self._monotonic = monotonic
        storage = context.storage
        path = config.queue_path or (storage and storage / "queue.sqlite")
        self._queue = WriteQueue(path, max_bytes=config.queue_max_bytes, now=context.now)
        self._drain = Drain(
            self._queue,
            target,
            context,
            max_samples=config.max_samples_per_send,
            give_up_after=config.give_up_after,
        )
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._since: float | None = None
        self._counts: Counter[str] = Counter(future=0, dropped=0)
        self._dropping = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._context.name!r}>"

    def write(self, batch: ScoreBatch) -> None:
        """Queue the rows that are newer than those taken before, and not in the future.

        Raises ``WriteError`` when the queue cannot take them; a target that is down is no error here.
        """
        rows = score_rows(batch, self._options.series, self._options.labels)
        present = rows.times_ms <= int(self._context.now() * 1000)
        late = rows.rows(~present)
        try:
            put = self._queue.put(rows.rows(present))
        except StoreError as error:
            full = getattr(error.__cause__, "sqlite_errorname", "") == "SQLITE_FULL"
            message = f"writer {self._context.name!r}: {error}"
            raise WriteError(message, recoverable=True, reason="disk_full" if full else "queue") from error
        with self._changed:
            self._counts["future"] += late.samples
            self._counts["dropped"] += put.dropped
            if put.samples and not self._stopping:
                self._begin()
        self._report_dropped(put.dropped)

    def stats(self) -> Mapping[str, float]:
        """Counters (``..._total``) and gauges since the start, for the host to export."""
        counts = self._drain.counts
        found = {
            "samples_written_total": counts["written"],
            "samples_refused_total": counts["refused"],
            "samples_settled_total": counts["settled"],
            "samples_future_total": self._counts["future"],
            "samples_dropped_total": self._counts["dropped"],
            "send_failures_total": counts["failures"],
        }
        try:
            waiting = self._queue.waiting()
        except StoreError:  # a broken disk is reported where rows are written
            return {**found, "queue_samples": self._queue.samples}
        oldest = 0.0 if waiting.oldest_ms is None else max(self._context.now() - waiting.oldest_ms / 1000, 0.0)
        return {
            **found,
            "queue_samples": waiting.samples,
            "queue_bytes": waiting.used_bytes,
            "queue_oldest_age_seconds": oldest,
        }

    def close(self) -> None:
        """Send what waits, for some seconds at most; the rest waits on disk for the next start. Safe to call twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            in_memory = self._queue.path is None
            self._thread.join(self._options.timeout.total_seconds() if in_memory else _CLOSE_SECONDS)
            self._thread = None
            if left := self._queue.samples:
                kept = "lost: there is no queue on disk" if in_memory else "kept for the next start"
                _log.warning("scores not written yet", writer=self._context.name, samples=left, they_are=kept)
        self._target.close()
        self._queue.close()

    def _begin(self) -> None:
        if self._since is None:
            self._since = self._monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"writer-{self._context.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._stopping:
                    delay = self._delay()
                    if delay == 0:
                        break
                    self._changed.wait(delay)
                if self._stopping and self._drain.failing and self._queue.path is not None:
                    return
            sent = self._step()
            with self._changed:
                if not self._queue.samples:
                    self._since = None
                if self._stopping and not sent:
                    return

    def _delay(self) -> float | None:
        """Seconds until there is something to do; None: until there is news."""
        if pause := self._drain.pause():
            return pause
        if self._since is None:
            return None
        if self._queue.samples >= self._options.max_samples_per_send:
            return 0
        return max(self._since + self._options.batch_send_deadline.total_seconds() - self._monotonic(), 0)

    def _step(self) -> bool:
        try:
            return self._drain.step()
        except Exception as error:  # the thread must survive any batch
            if self._stopping:  # closed meanwhile; nothing to log
                return False
            if isinstance(error, StoreError):
                self._drain.failed("queue", str(error))
            else:
                self._drain.failed("bug", _bug(error))
        return False

    def _report_dropped(self, dropped: int) -> None:
        if dropped and not self._dropping:
            _log.error(
                "the queue is full: the oldest scores are dropped; see queue_max_bytes",
                writer=self._context.name,
                samples=dropped,
            )
        self._dropping = dropped > 0 or (self._dropping and bool(self._drain.failing))


def _bug(error: Exception) -> str:
    """The kind and the place of an error, but not its text, which may hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} at {place.filename}:{place.lineno}; please report it"
