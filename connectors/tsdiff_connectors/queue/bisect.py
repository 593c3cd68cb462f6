"""One bad series must not hold up the others: a refused request is halved until what is refused stands alone.

Stores of series refuse a whole request for a single sample (Prometheus), or store the good ones and refuse all the
same (InfluxDB, Mimir). Sending good samples again changes nothing in either.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_monitor.http.failure import HttpFailure

__all__ = ["PoisonSampleBisector", "Refusal", "Verdict", "judge"]

_MAX_REQUESTS = 5_000
"""Spent on isolating what one batch has that is refused; what is undecided then counts as refused."""
_HOPELESS = 8
"""So many single series failing with 500, and not one accepted: the target is failing, not the series."""
_PROBES = 64
"""So many series are asked about before a batch counts as written by an earlier try whose answer was lost."""
_MAX_SUSPECTS = 10_000
# Prometheus, Mimir and InfluxDB (1 and 2), with spaces for hyphens.
_SETTLED = (
    "out of order",
    "duplicate sample",
    "duplicate timestamp",
    "out of bounds",
    "too old",
    "beyond retention policy",
    "outside retention",
)


class Verdict(enum.Enum):
    """Meaning of a failure for the samples that were sent."""

    down = "down"  # nothing: the target cannot take any now
    target_down = "target_down"  # perhaps something: it failed over them (500)
    refused = "refused"  # some of them are not acceptable
    settled = "settled"  # some of them are there already, or are too late to be stored


@dataclass(frozen=True, slots=True)
class Refusal:
    """Samples of one series that were not accepted, and why; ``more`` further series were not even tried."""

    series: Labels
    samples: int
    verdict: Verdict
    reason: str
    more: int = 0


@dataclass(slots=True)
class Outcome:
    """Outcome of a batch."""

    accepted: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def judge(failure: HttpFailure) -> Verdict:
    """Meaning of a failed request for its samples."""
    if failure.status == 409:  # Thanos: https://thanos.io/tip/components/receive.md/
        return Verdict.settled
    if failure.status in (400, 413, 422):
        said = f"{failure.body} {failure.message}".lower().replace("-", " ")
        return Verdict.settled if any(words in said for words in _SETTLED) else Verdict.refused
    return Verdict.target_down if failure.status == 500 else Verdict.down


class PoisonSampleBisector:
    """Sends batches so that only what the target does not accept is left out.

    ``send(samples, retry)`` raises ``HttpFailure``; ``retry`` says whether it may try again by itself. A series once
    refused is sent apart from the others until it is accepted again, so that it costs them no further requests.
    """

    def __init__(self, send: Callable[[Samples, bool], None]) -> None:
        self._send = send
        self._suspects: OrderedDict[Labels, None] = OrderedDict()
        self._partly = False  # an earlier try stored some of the samples, so what is refused says nothing of the others

    @property
    def partly(self) -> bool:
        """True where a try that failed stored some of the samples first."""
        return self._partly

    def deliver(self, samples: Samples, *, again: bool = False, give_up: bool = False) -> Outcome:
        """Send all of ``samples`` that the target accepts; ``again``: the same samples were sent before.

        Raises ``HttpFailure`` when it takes none for reasons of its own; with ``give_up`` a series that it fails over
        (500) is left out even though none was accepted.
        """
        suspected, healthy = samples.only(self._suspects) if self._suspects else (Samples.join([]), samples)
        outcome = Outcome()
        try:
            for part in (healthy, suspected):
                if len(part):
                    _Attempt(self._send, outcome, again and not self._partly, give_up).run(part)
        except HttpFailure:
            self._partly = self._partly or outcome.accepted > 0
            raise
        self._partly = False
        refused = {one.series for one in outcome.refusals if one.verdict is not Verdict.settled}
        for labels in suspected.labels:
            if labels not in refused:
                del self._suspects[labels]
        self._suspects.update(dict.fromkeys(refused))
        while len(self._suspects) > _MAX_SUSPECTS:
            self._suspects.popitem(last=False)
        return outcome


class _Attempt:
    """One batch, halved where it is refused; earlier samples of a series are always sent before later ones."""

    def __init__(self, send: Callable[[Samples, bool], None], outcome: Outcome, again: bool, give_up: bool) -> None:
        self._send = send
        self._outcome = outcome
        self._again = again
        self._give_up = give_up
        self._requests = 0
        self._failing = 0

    def run(self, samples: Samples) -> None:
        waiting = [samples]
        while waiting:
            part = waiting.pop()
            self._requests += 1
            try:
                self._send(part, self._requests == 1)
            except HttpFailure as failure:
                verdict = judge(failure)
                if verdict is Verdict.down:
                    raise
                if verdict is Verdict.settled and part is samples and self._again and self._written(samples):
                    self._leave_out([part], verdict, failure)
                    return
                if len(part) > 1 and self._requests < _MAX_REQUESTS:
                    waiting.extend(reversed(part.halves()))
                    continue
                self._failing += verdict is Verdict.target_down
                hopeless = (
                    bool(self._failing) and not self._outcome.accepted and (self._failing >= _HOPELESS or not waiting)
                )
                if hopeless and not self._give_up:
                    raise
                if hopeless or self._requests >= _MAX_REQUESTS:
                    self._leave_out([part, *reversed(waiting)], verdict, failure)
                    return
                self._leave_out([part], verdict, failure)
            else:
                self._outcome.accepted += len(part)

    def _written(self, samples: Samples) -> bool:
        """True where an earlier try stored all, and only its answer was lost.

        Prometheus then refuses all but the newest sample of each series. A series' oldest sample is a safe question:
        should it be accepted, those after it still can be.
        """
        counts = np.diff(samples.ends, prepend=0)
        (several,) = np.nonzero(counts > 1)
        if not len(several):
            return False
        for series in several[:: -(-len(several) // _PROBES)].tolist():
            first = int(samples.ends[series] - counts[series])
            try:
                self._send(samples.sample(series, first), False)
            except HttpFailure as failure:
                if judge(failure) is not Verdict.settled:
                    return False
            else:
                return False
        return True

    def _leave_out(self, parts: list[Samples], verdict: Verdict, failure: HttpFailure) -> None:
        count, series = sum(map(len, parts)), sum(len(part.labels) for part in parts)
        first = parts[0].labels[0]
        self._outcome.refusals.append(Refusal(first, count, verdict, failure.body or failure.message, series - 1))
