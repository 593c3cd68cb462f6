"""Fakes that live in memory: a clock, a reader, a writer and a notifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import ClassVar

import pandas as pd

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Extent, LabelledSpan, Reading, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, Series, from_samples
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["FakeClock", "MemoryNotifier", "MemoryReader", "MemoryWriter"]


class FakeClock:
    """A clock that moves only when it is advanced: ``clock()`` returns Unix seconds."""

    def __init__(self, now: float = 1_714_532_400.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self.now += seconds


class MemoryReader:
    """Serves given frames. A query's ``expr`` is a series' name or a glob over them.

    ``requests`` holds what it was asked, ``reads`` how often each group was read.
    ``failures`` is consumed by ``read``, one entry a call: an exception is raised, None lets the call pass.
    """

    selects_groups: ClassVar[bool] = True

    def __init__(
        self,
        frames: Mapping[Group, Frame],
        *,
        incidents: tuple[LabelledSpan, ...] | None = None,
        failures: Iterable[Exception | None] = (),
    ) -> None:
        self.frames = dict(frames)
        self.requests: list[ReadRequest] = []
        self.reads: Counter[Group] = Counter()
        self._incidents = incidents
        self._failures = iter(failures)

    def read(self, request: ReadRequest) -> Reading:
        """The matching series of every frame on the request's grid; raises the next scripted failure."""
        self.requests.append(request)
        _raise_next(self._failures)
        frames = {}
        for group, frame in self.frames.items():
            if request.groups is not None and group not in request.groups:
                continue
            self.reads[group] += 1
            samples = []
            for k, one in enumerate(frame.series):
                query = next(
                    (q.name for q in request.queries if one.name == q.expr or fnmatchcase(one.name, q.expr)), None
                )
                if query is not None:
                    there = frame.observed[:, k]
                    series = Series(one.name, one.labels, query)
                    samples.append((series, frame.times.asi8[there], frame.values[there, k]))
            answer = from_samples(samples, step=request.step, start=request.start, end=request.end)
            if answer.observed.any():
                frames[group] = answer
        return Reading(frames)

    def extents(self, groupby: tuple[str, ...]) -> dict[Group, Extent]:  # noqa: ARG002 - frames are grouped already
        """Of each frame the first half to fit on, the second to score."""
        halves = {group: frame.start + frame.step * (len(frame) // 2) for group, frame in self.frames.items()}
        return {
            group: Extent(frame.start, halves[group], halves[group], frame.end) for group, frame in self.frames.items()
        }

    def incidents(self, request: ReadRequest) -> tuple[LabelledSpan, ...] | None:
        """The given incidents that touch the request's span."""
        if self._incidents is None:
            return None
        return tuple(one for one in self._incidents if one.start < request.end and one.end > request.start)


class MemoryWriter:
    """Keeps what it is given: ``batches`` as they came, ``rows`` by monitor, group and time.

    ``failures`` is consumed by ``write``, one entry a call: an exception is raised, None lets the call pass.
    """

    def __init__(self, *, failures: Iterable[Exception | None] = ()) -> None:
        self.batches: list[ScoreBatch] = []
        self.rows: dict[tuple[str, Group, pd.Timestamp], float] = {}
        self.closed = False
        self._failures = iter(failures)

    def write(self, batch: ScoreBatch) -> None:
        """Store the rows, or raise the next scripted failure."""
        _raise_next(self._failures)
        self.batches.append(batch)
        for time, score in zip(batch.scores.times, batch.scores.score, strict=True):
            self.rows[batch.monitor, batch.group, time] = float(score)

    def close(self) -> None:
        """Remember having been closed."""
        self.closed = True


class MemoryNotifier:
    """Keeps the changes it delivered in ``changes``, and all that it was asked to deliver in ``attempts``.

    ``failures`` is consumed by ``notify``, one entry a call: an exception is raised, None lets the call pass.
    """

    def __init__(self, *, failures: Iterable[Exception | None] = ()) -> None:
        self.changes: list[EventChange] = []
        self.attempts: list[EventChange] = []
        self._failures = iter(failures)

    def notify(self, change: EventChange) -> None:
        """Deliver, or raise the next scripted failure."""
        self.attempts.append(change)
        _raise_next(self._failures)
        self.changes.append(change)


def _raise_next(failures: Iterable[Exception | None]) -> None:
    failure = next(iter(failures), None)
    if failure is not None:
        raise failure
