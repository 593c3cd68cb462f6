"""Minimal culprit set: the fewest metrics that, had they been as expected, would have raised no alarm.

A counterfactual explanation (Wachter, Mittelstadt and Russell 2018) whose alternative world is the model's own: the
metrics of a set S are replaced, in the rows to explain, by what they should have been given all the others, that is by
the median of conditional samples x_S ~ p(x_S | x_rest), and the rows are scored again. S suffices when the highest of
their scores is not above 1. The smallest S is a subset-selection problem, hence greedy (as matching pursuit, Mallat and
Zhang 1993: after each replacement the evidence left is attributed anew), then pruned until nothing can be spared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["Counterfactual", "Culprits", "MinimalSet", "Verdict", "minimal_culprits", "minimal_set"]

_ALARM = 1.0


@dataclass(frozen=True)
class Verdict:
    """What a counterfactual world scores, and each metric's attribution (any scale) in it."""

    score: float
    attribution: Mapping[str, float]


@dataclass(frozen=True)
class MinimalSet:
    """``names``, largest attribution first; when ``sufficient`` none of them can be spared.

    ``before`` and ``after`` are the scores without and with the names replaced, ``evaluations`` how many sets were
    scored, the empty one included.
    """

    names: tuple[str, ...]
    sufficient: bool
    before: float
    after: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class Culprits:
    """The answer for a frame: the set and, in the rows to explain, what its metrics should have been.

    When not ``found.sufficient``, no set that was tried brings the score down to 1: the names are then the best guess
    of at most the size asked for, and ``found.after`` says how little replacing them helps. ``expected`` has the
    columns of ``found.names``, and is None where there are none.
    """

    found: MinimalSet
    expected: Expected | None


class Counterfactual(Protocol):
    """What is asked of a detector: :class:`~tsdiff_monitor.detectors.diffusion.detector.DiffusionDetector` is one."""

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        ...

    def score(
        self,
        frame: Frame,
        *,
        first: int = ...,
        mode: Literal["stream"] = ...,
        alarms_per_week: float = ...,
        rules: Mapping[str, Rule] | None = ...,
    ) -> Scores:
        """Score the rows from ``first`` on."""
        ...

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = ..., last: int | None = ..., read: int = ...
    ) -> Expected:
        """What the ``names`` should have been, given all the other metrics."""
        ...


def minimal_culprits(
    detector: Counterfactual,
    frame: Frame,
    *,
    first: int,
    last: int | None = None,
    limit: int = 5,
    read: int = 16,
    alarms_per_week: float = 1.0,
    rules: Mapping[str, Rule] | None = None,
) -> Culprits:
    """The smallest set found of at most ``limit`` metrics that explains the alarm in rows ``first <= t < last``.

    Only values that were there are replaced: a gap stays a gap. Earlier rows are context and stay as they are, later
    ones are not looked at. Each of the at most ``limit + limit (limit + 1) / 2 + 1`` sets tried costs one
    ``expected`` and one ``score`` of these rows (``read`` as in :meth:`DiffusionDetector.expected`), so give the rows
    of the peak rather than a day. The same frame gives the same answer, whatever the order of its series.

    Raises :class:`DataError` when the range is empty or none of its rows has a score.
    """
    last = len(frame) if last is None else min(last, len(frame))
    if not 0 <= first < last:
        raise DataError(f"there are no rows {first} to {last} to explain in a frame of {len(frame)} rows")
    if limit < 1:
        raise DataError(f"a culprit set needs room for at least one metric, not {limit}")
    context = frame.rows(max(first - detector.window, 0), last)
    begin = len(context) - (last - first)

    def counterfactual(names: Sequence[str]) -> Expected:
        return detector.expected(context, names, first=begin, last=len(context), read=read)

    def judge(replaced: frozenset[str]) -> Verdict:
        world = _replace(context, begin, counterfactual(sorted(replaced))) if replaced else context
        scores = detector.score(world, first=begin, mode="stream", alarms_per_week=alarms_per_week, rules=rules)
        if np.isnan(scores.score).all():
            raise DataError(f"rows {first} to {last} have no score: they hold no value of the metrics fitted")
        peak = int(np.nanargmax(scores.score))
        shares = {series.name: float(scores.attribution[peak, k]) for k, series in enumerate(scores.series)}
        return Verdict(float(scores.score[peak]), shares)

    found = minimal_set(judge, limit=limit)
    return Culprits(found, counterfactual(found.names) if found.names else None)


def minimal_set(judge: Callable[[frozenset[str]], Verdict], *, limit: int) -> MinimalSet:
    """Search for a small set of names whose replacement brings ``judge``'s score to 1 or below.

    Greedy: the name with the largest attribution in the world so far joins the set, ties by name, until it suffices or
    has ``limit`` members. A name without attribution never joins. Then members are dropped, least attribution first,
    as long as the rest suffices. ``judge`` is asked about each set once.
    """
    known: dict[frozenset[str], Verdict] = {}

    def verdict(names: Sequence[str]) -> Verdict:
        key = frozenset(names)
        if key not in known:
            known[key] = judge(key)
        return known[key]

    before = verdict(())
    names: list[str] = []
    while verdict(names).score > _ALARM and len(names) < limit:
        left = {name: share for name, share in verdict(names).attribution.items() if share > 0 and name not in names}
        if not left:
            break
        names.append(min(left, key=lambda name: (-left[name], name)))
    sufficient = verdict(names).score <= _ALARM
    names.sort(key=lambda name: (-before.attribution.get(name, 0.0), name))
    spared = sufficient
    while spared:
        fewer = [names[:i] + names[i + 1 :] for i in reversed(range(len(names)))]
        enough = next((rest for rest in fewer if verdict(rest).score <= _ALARM), None)
        spared = enough is not None
        names = names if enough is None else enough
    return MinimalSet(tuple(names), sufficient, before.score, verdict(names).score, len(known))


def _replace(frame: Frame, first: int, expected: Expected) -> Frame:
    """The frame with the expected values in the observed cells of its rows from ``first`` on."""
    columns = [frame.names.index(series.name) for series in expected.series]
    values = frame.values.copy()
    seen = frame.observed[first:, columns]
    values[first:, columns] = np.where(seen, expected.yhat, values[first:, columns])
    return Frame(frame.start, frame.step, values, frame.series)
