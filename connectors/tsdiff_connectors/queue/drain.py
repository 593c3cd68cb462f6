"""Takes what waits in a queue to its target: when to try again, what to leave out, what to count and to log."""

from __future__ import annotations

from collections import Counter, OrderedDict
from datetime import timedelta
from typing import Protocol

import httpx
import structlog

from tsdiff_connectors.queue.bisect import Outcome, PoisonSampleBisector, Refusal, Verdict
from tsdiff_connectors.queue.queue import Head, WriteQueue
from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_connectors.queue.series import unpacked
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.http.retries import Backoff
from tsdiff_monitor.plugins import Context

__all__ = ["Drain", "Target"]

_MERGED = 10
_SPAN_MS = 1_800_000
"""Half of the hour that samples may be older than the newest one that Prometheus has of any series."""
_NOT_TAKEN = (401, 403, 404, 429, 503)
_SHORTEST, _LONGEST = 1.0, 300.0  # seconds between tries
_LONGEST_ASKED = 3600.0
"""A target may ask for a longer pause, but is not believed."""
_MAX_SERIES = 200_000
"""So many series' labels are kept unpacked."""
_MAX_LOGGED = 10_000
_LOGGED_AT_ONCE = 5

_log = structlog.get_logger(__name__)


class Target(Protocol):
    """A store that samples are sent to."""

    def send(self, samples: Samples, *, retry: bool) -> None:
        """Store the samples, all or (when it raises) any of them; ``retry``: it may try again by itself.

        Raises ``HttpFailure``. Storing a sample again changes nothing.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class Drain:
    """Sends the head of a queue, request by request. Not for several threads at once; ``counts`` may be read by any.

    What the target fails over with status 500 for ``give_up_after`` is left out as if it were refused: for Prometheus
    a sample that it can never store may look like that.
    """

    def __init__(
        self, queue: WriteQueue, target: Target, context: Context, *, max_samples: int, give_up_after: timedelta
    ) -> None:
        self._queue = queue
        self._context = context
        self._max_samples = max_samples
        self._give_up_after = give_up_after.total_seconds()
        self._bisector = PoisonSampleBisector(lambda samples, retry: target.send(samples, retry=retry))
        self._layouts: OrderedDict[bytes, tuple[Labels, ...]] = OrderedDict()
        self._unpacked = 0
        self._logged: OrderedDict[Labels, None] = OrderedDict()
        self._head: Head | None = None
        self._pieces: list[Samples] = []
        self._again = self._begun = False
        self._failures = 0
        self._failing = ""
        self._next = 0.0
        self._down_since: float | None = None
        self._backoff = Backoff(context.random, first=2 * _SHORTEST, longest=_LONGEST, shortest=_SHORTEST)
        self.counts: Counter[str] = Counter(written=0, refused=0, settled=0, failures=0)

    @property
    def failing(self) -> str:
        """The reason why the target takes nothing now; empty when all is well."""
        return self._failing

    def pause(self) -> float:
        """Seconds until the target may be tried again; 0 when it may be now."""
        # A clock that was set back must not prolong the pause beyond what it was made for.
        return min(max(self._next - self._context.now(), 0.0), _LONGEST_ASKED) if self._failing else 0.0

    def step(self) -> bool:
        """Send one request's worth; False when nothing waits or the target does not take it (see ``failing``).

        Raises ``StoreError`` when the queue cannot be read.
        """
        if self._head is None and not self._take():
            return False
        assert self._head is not None
        if self._pieces:
            piece = self._pieces[-1]
            down = self._down_since is not None and self._context.now() - self._down_since >= self._give_up_after
            try:
                outcome = self._bisector.deliver(piece, again=self._again, give_up=down)
            except HttpFailure as failure:
                if self._head.again or self._begun or self._bisector.partly or not _untouched(failure):
                    self._again = True
                else:  # until it is back older rows may have come: those are to go first
                    self._queue.release()
                    self._head = None
                self.failed(failure.reason, failure.message, retry_after=failure.retry_after)
                if failure.status == 500 and self._down_since is None:
                    self._down_since = self._context.now()
                return False
            self._pieces.pop()
            self._begun = True
            self._again = self._head.again
            self._succeeded(outcome)
        if not self._pieces:
            self._queue.settle(self._head)
            self._head = None
        return True

    def _take(self) -> bool:
        """Take the queue's head in hand: so much that series with several samples are sent only once."""
        self._head = self._queue.head(_MERGED * self._max_samples)
        if self._head is None:
            return False
        self._pieces = self._samples(self._head).pieces(self._max_samples, _SPAN_MS)[::-1]
        self._again, self._begun = self._head.again, False
        return True

    def failed(self, reason: str, message: str, *, retry_after: float | None = None) -> None:
        """Note that nothing can be sent now, and for how long not to try."""
        self._failures += 1
        self.counts["failures"] += 1
        asked = None if retry_after is None else min(retry_after, _LONGEST_ASKED)
        self._next = self._context.now() + self._backoff.pause(self._failures, asked)
        if reason != self._failing:
            self._failing = reason
            _log.warning("scores wait: they cannot be written", writer=self._context.name, reason=reason, error=message)

    def _succeeded(self, outcome: Outcome) -> None:
        if self._failing:
            _log.info("scores are written again", writer=self._context.name, failed_tries=self._failures)
        self._failures, self._failing, self._down_since = 0, "", None
        self.counts["written"] += outcome.accepted
        for one in outcome.refusals:
            self.counts["settled" if one.verdict is Verdict.settled else "refused"] += one.samples
        new = {one.series: one for one in reversed(outcome.refusals) if one.series not in self._logged}
        for one in list(new.values())[:_LOGGED_AT_ONCE]:
            self._log_refusal(one, len(new))
        self._logged.update(dict.fromkeys(new))
        while len(self._logged) > _MAX_LOGGED:
            self._logged.popitem(last=False)

    def _log_refusal(self, refusal: Refusal, new: int) -> None:
        _log.warning(
            "the target does not accept samples; they are left out",
            writer=self._context.name,
            series=_text(refusal.series),
            samples=refusal.samples,
            answer=refusal.reason,
            series_newly_refused=new + refusal.more,
        )

    def _samples(self, head: Head) -> Samples:
        rows = head.rows.values()
        return Samples.join([Samples.of(self._labels(one.layout), one.times_ms, one.values) for one in rows])

    def _labels(self, layout: bytes) -> tuple[Labels, ...]:
        labels = self._layouts.get(layout)
        if labels is None:
            labels = self._layouts[layout] = unpacked(layout)
            self._unpacked += len(labels)
            while self._unpacked > _MAX_SERIES and len(self._layouts) > 1:
                self._unpacked -= len(self._layouts.popitem(last=False)[1])
        return labels


def _untouched(failure: HttpFailure) -> bool:
    """True where the target has certainly stored nothing of what was sent."""
    if failure.status is None:
        return isinstance(failure.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))
    return failure.status in _NOT_TAKEN


def _text(labels: Labels) -> str:
    name = dict(labels)["__name__"]
    return name + "{" + ", ".join(f"{key}={value!r}" for key, value in labels if key != "__name__") + "}"
