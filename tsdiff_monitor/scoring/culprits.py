"""Smallest culprit set: the fewest metrics that, had they been as expected, would have raised no alarm.

A counterfactual explanation (Wachter, Mittelstadt and Russell 2018) whose other world is the model's own: the metrics
of a set S are replaced by what they should have been, the median of samples given all metrics that are not suspected,
and the rows are scored again. S suffices when the score is then low enough. All sets of one size are tried before any
larger one, so that none with fewer members suffices; few suspects keep that cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected

__all__ = ["SmallestSet", "as_expected", "most_sets", "smallest_set"]


@dataclass(frozen=True)
class SmallestSet:
    """``names`` in the order of the suspects, and the ``score`` with them replaced."""

    names: tuple[str, ...]
    score: float


def smallest_set(
    score: Callable[[Collection[str]], float], suspects: Sequence[str], *, limit: int, enough: float = 1.0
) -> SmallestSet | None:
    """Find the smallest set of at most ``limit`` suspects whose replacement brings ``score`` to ``enough`` or below.

    ``suspects`` come most suspect first: of sets of one size the first that suffices is taken, earlier suspects before
    later ones. None when no set suffices; when not even all suspects together do, that takes two calls at most. NaN
    suffices never. ``score`` is called once for each set, at most :func:`most_sets` times; what it raises is passed on.
    """
    every = tuple(suspects)
    known: dict[tuple[str, ...], float] = {}
    if len(every) > 1:  # one call settles most of the cases without an answer
        known[every] = score(every)
        if not known[every] <= enough:
            return None
    for names in _sets(every, limit):
        found = known[names] if names in known else score(names)
        if found <= enough:
            return SmallestSet(names, found)
    return None


def most_sets(suspects: int, limit: int) -> int:
    """Most sets that :func:`smallest_set` tries."""
    tried = list(_sets([str(number) for number in range(suspects)], limit))
    return len(tried) + (suspects > max(limit, 1))


def as_expected(frame: Frame, expected: Expected, names: Collection[str], *, first: int) -> Frame:
    """The frame with the named metrics as expected in its rows from ``first`` on, those of ``expected``.

    Only values that were there are replaced, and only by a number: a gap stays a gap, and none is made.
    """
    values = frame.values.copy()
    for k, series in enumerate(expected.series):
        if series.name in names:
            column = frame.names.index(series.name)
            known = frame.observed[first:, column] & np.isfinite(expected.yhat[:, k])
            values[first:, column] = np.where(known, expected.yhat[:, k], values[first:, column])
    return Frame(frame.start, frame.step, values, frame.series)


def _sets(suspects: Sequence[str], limit: int) -> Iterator[tuple[str, ...]]:
    for size in range(1, min(limit, len(suspects)) + 1):
        yield from combinations(suspects, size)
