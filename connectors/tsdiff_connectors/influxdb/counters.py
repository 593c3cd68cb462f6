"""Rates of counters, made here: servers differ in what they make of resets, holes and the border of a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tsdiff_connectors.influxdb.columns import Labels
from tsdiff_connectors.influxdb.windows import WindowPlan

__all__ = ["counter_rates"]

_Series = tuple[Labels, np.ndarray, np.ndarray]
"""Labels, times (int64 nanoseconds, ascending) and values."""


def counter_rates(series: Iterable[_Series], plan: WindowPlan, by: tuple[str, ...] | None) -> list[_Series]:
    """The increase per second of each series, or the sums of these over all series that agree in the labels ``by``.

    A series holds the last value of each window. Where a counter fell it was reset, and its rate is not known; neither
    is it after a window without a value. A sum is not known where one of its series has a value and no rate: that
    would look like a drop.
    """
    series = list(series)
    if by is None:
        return [(labels, *_rates(plan, times, values)) for labels, times, values in series]
    pools: dict[Labels, list[tuple[np.ndarray, np.ndarray]]] = {}
    for labels, times, values in series:
        kept = tuple((name, value) for name, value in labels if name in by or name == "_field")
        pools.setdefault(kept, []).append((times, values))
    return [(labels, *_summed(plan, members)) for labels, members in pools.items()]


def _rates(plan: WindowPlan, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    starts, increase = plan.floor(times), np.diff(values)
    known = (plan.after(starts[:-1]) == starts[1:]) & (increase >= 0)
    return times[1:][known], increase[known] / (np.diff(starts)[known] / 1e9)


def _summed(plan: WindowPlan, members: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    rated = [_rates(plan, times, values) for times, values in members]
    unknown = np.concatenate([np.setdiff1d(seen[0], known[0]) for seen, known in zip(members, rated, strict=True)])
    times, at = np.unique(np.concatenate([known[0] for known in rated]), return_inverse=True)
    sums = np.bincount(at, weights=np.concatenate([known[1] for known in rated]), minlength=len(times))
    there = ~np.isin(times, unknown)
    return times[there], sums[there]
