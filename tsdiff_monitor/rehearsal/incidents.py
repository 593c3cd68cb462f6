"""Placement of incidents: several rounds over the same normal rows, each with as many as fit.

Between two incidents lie so many rows that the scores of one do not reach the next. Shapes: T rows,
K metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tsdiff_monitor.injection import JUDGES, AnomalyMix, AnomalyType, InjectedAnomaly, inject

__all__ = ["Round", "kind_rounds", "metric_rounds", "rows_for_one"]

_ROWS = (3, 60)
_MAGNITUDE = (2.0, 10.0)
"""In the metric's own spreads: a smaller change is no reason to wake a person."""
_BREADTH = (0.0, 0.5)
_MEAN_ROWS = 25
"""Mean rows of an incident in a round, beside the gap: durations are log-uniform."""
_BARREN = 3
"""Rounds in a row without a new incident after which the rest is given up: a still metric cannot freeze."""
_TURNS = 4


@dataclass(frozen=True, eq=False)
class Round:
    """``values[T, K]`` with the ``incidents`` in it, in order of time."""

    values: np.ndarray
    incidents: tuple[InjectedAnomaly, ...]


def rows_for_one(gap: int) -> int:
    """Rows that an incident takes, with the rows between it and the next."""
    return gap + _MEAN_ROWS


def kind_rounds(
    values: np.ndarray, kinds: Mapping[str, AnomalyType], each: int, gap: int, generator: np.random.Generator
) -> Iterator[Round]:
    """``each`` incidents of every kind, in one to half of the metrics of normal ``values[T, K]``; of kinds that cannot
    be made visible there, fewer.
    """
    lacking, barren = dict.fromkeys(kinds, each), 0
    mix = AnomalyMix(_ROWS, _MAGNITUDE, _BREADTH, gap)
    while any(lacking.values()) and barren < _BARREN:
        wanted = {name: kinds[name] for name, left in lacking.items() if left}
        room = max(len(values) // rows_for_one(gap), 1)
        made = inject(values, generator=generator, incidents=min(room, sum(lacking.values())), kinds=wanted, mix=mix)
        taken = []
        for incident in made.incidents:
            if lacking[incident.kind]:
                lacking[incident.kind] -= 1
                taken.append(incident)
        barren = 0 if taken else barren + 1
        if taken:
            yield _only(values, made.values, taken)


def metric_rounds(
    values: np.ndarray, metrics: list[int], each: int, gap: int, generator: np.random.Generator
) -> Iterator[Round]:
    """``each`` incidents in every one of the ``metrics`` alone, their kinds taking turns.

    The rows of a round are divided among metrics; each metric's spread is still that of all its rows.
    """
    lacking = dict.fromkeys(metrics, each)
    mix = AnomalyMix(_ROWS, _MAGNITUDE, (0.0, 0.0), gap)
    room = max(len(values) // rows_for_one(gap), 1)
    for _ in range(_TURNS):
        queue = [metric for metric, left in lacking.items() if left]
        if not queue:
            return
        rows = (max(lacking.values()) + 1) * rows_for_one(gap)
        tiles = min(max(len(values) // rows, 1), len(queue))
        bounds = np.linspace(0, len(values), tiles + 1).astype(int).tolist()
        for first in range(0, len(queue), tiles):
            changed, taken = values.copy(), list[InjectedAnomaly]()
            for tile, metric in enumerate(queue[first : first + tiles]):
                made = inject(values[:, [metric]], generator=generator, incidents=room, kinds=JUDGES, mix=mix)
                inside = [
                    one for one in made.incidents if one.start >= bounds[tile] + gap and one.end <= bounds[tile + 1]
                ]
                for one in inside[: lacking[metric]]:
                    changed[one.start : one.end, metric] = made.values[one.start : one.end, 0]
                    taken.append(InjectedAnomaly(one.kind, one.start, one.end, (metric,), one.magnitude))
                    lacking[metric] -= 1
            if taken:
                yield Round(changed, tuple(taken))


def _only(before: np.ndarray, after: np.ndarray, incidents: list[InjectedAnomaly]) -> Round:
    """A round with these incidents and no others."""
    values = before.copy()
    for one in incidents:
        values[one.start : one.end] = after[one.start : one.end]
    return Round(values, tuple(incidents))
