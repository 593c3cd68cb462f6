"""Says of an event which few metrics explain it: as they were expected, its peak would have raised no alarm.

Worked out while the data is at hand, within bounds of work and time, and kept with the event. When time runs out there
is no explanation: never one that is not the smallest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from tsdiff_monitor.events.event import Change, Event, EventChange
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.scoring.culprits import as_expected, smallest_set

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.protocol import Detector
    from tsdiff_monitor.timeseries.frame import Frame
    from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["CHANGE_SECONDS", "LARGEST", "TICK_SECONDS", "ScoreRows", "TimeBudget", "explained", "explanation"]

LARGEST = 3
"""Metrics of an explanation at most: more explain nothing to a person."""
CHANGE_SECONDS, TICK_SECONDS = 1.0, 3.0
"""Time for one change, and for all changes of a tick."""

_Result = TypeVar("_Result")


class ScoreRows(Protocol):
    """Scores the rows of a frame from ``first`` on, as those were scored that the event logic saw."""

    def __call__(self, rows: Frame, /, *, first: int = 0) -> Scores: ...


class TimeBudget:
    """The rest of a tick's time for explanations; ``clock`` gives seconds. Other work costs nothing of it."""

    def __init__(
        self, clock: Callable[[], float], *, change: float = CHANGE_SECONDS, tick: float = TICK_SECONDS
    ) -> None:
        self.clock = clock
        self.left = tick
        self._change = change

    def spend(self, work: Callable[[float], Explanation | None]) -> Explanation | None:
        """``work(deadline)``, at whose end the time that it took is gone; None where no time is left."""
        if self.left <= 0:
            return None
        begun = self.clock()
        try:
            return work(begun + min(self._change, self.left))
        finally:
            self.left -= self.clock() - begun


def explained(
    detector: Detector,
    frame: Frame,
    changes: Sequence[EventChange],
    score: ScoreRows,
    *,
    earlier: Callable[[str], Event | None],
    budget: TimeBudget,
) -> list[EventChange]:
    """The changes, oldest first, with an explanation of their events where there is one.

    ``frame`` holds the rows of the changes and at least ``detector.window`` rows before them; ``earlier`` gives an
    event as it is stored. An event that has the same peak as at its change before keeps what was found then.
    """
    known: dict[str, Event | None] = {}
    full = []
    for change in changes:
        event = change.event
        if event.id not in known:
            known[event.id] = None if change.change is Change.opened else earlier(event.id)
        before = known[event.id]
        if before is not None and (before.peak_time, before.peak) == (event.peak_time, event.peak):
            found = before.explanation
        else:
            found = budget.spend(
                lambda deadline, event=event: explanation(  # type: ignore[misc]
                    detector, frame, event, score, deadline=deadline, clock=budget.clock
                )
            )
        known[event.id] = event = dataclasses.replace(event, explanation=found)
        full.append(dataclasses.replace(change, event=event))
    return full


def explanation(
    detector: Detector,
    frame: Frame,
    event: Event,
    score: ScoreRows,
    *,
    deadline: float,
    clock: Callable[[], float],
) -> Explanation | None:
    """The smallest set of at most :data:`LARGEST` culprits that explains the event's peak.

    The suspects are the event's culprits, replaced from its start to its peak by what is expected of them given the
    other metrics. None where no set is small enough, where the peak lies too far back from the event's newest row,
    where there are no culprits, or where ``deadline`` (of ``clock``, seconds) would pass. Nothing is begun that would
    pass it if it took as long as the longest step of its kind so far.

    The answer depends on the rows from ``detector.window`` before the event's newest row to the peak, and on no others:
    it is the same however the rows came in.
    """
    suspects = [culprit.metric for culprit in event.culprits if culprit.metric in frame.names]
    peak, last = frame.row(event.peak_time), frame.row(event.last)
    if not suspects or not max(last - detector.window // 2, 0) <= peak < len(frame):
        return None
    context = max(last - detector.window, 0)
    rows = frame.rows(context, peak + 1)
    first = max(frame.row(event.start) - context, 0)
    scoring, sampling = _Steps(deadline, clock), _Steps(deadline, clock)

    def of_peak(world: Frame) -> float:
        return scoring(lambda: float(score(world, first=len(world) - 1).score[-1]))

    try:
        own = of_peak(rows)
        if not 1 < own < math.inf:
            return None
        scale = event.peak / own  # events count relative to a drift or to a new level
        expected = sampling(lambda: detector.expected(rows, suspects, first=first, read=len(rows) - first))

        def replaced(names: Collection[str]) -> float:
            return scale * of_peak(as_expected(rows, expected, names, first=first))

        found = smallest_set(replaced, suspects, limit=LARGEST)
    except _OutOfTimeError:
        return None
    return None if found is None else Explanation(found.names, event.peak, found.score)


class _OutOfTimeError(Exception):
    """The next step would not be done in time."""


class _Steps:
    """Takes steps of one kind as long as the next, were it as long as the longest so far, ends before the deadline."""

    def __init__(self, deadline: float, clock: Callable[[], float]) -> None:
        self._deadline = deadline
        self._clock = clock
        self._longest = 0.0

    def __call__(self, step: Callable[[], _Result]) -> _Result:
        begun = self._clock()
        if begun >= self._deadline or begun + self._longest > self._deadline:
            raise _OutOfTimeError
        result = step()
        self._longest = max(self._longest, self._clock() - begun)
        return result
