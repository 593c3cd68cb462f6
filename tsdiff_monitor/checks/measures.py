"""Statistics of the frames that one query returned. Shapes: T rows, K series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.baseline.period import dominant_period
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["Measures", "measured"]

_MOST_ROWS = 20_000
_MOST_SERIES = 200
_MOST_GROUPS = 20
"""Of more, so many are examined: duplicates and periods take time to find."""
_ALIKE = 0.9995
_NATURAL = (pd.Timedelta("1h"), pd.Timedelta("1D"), pd.Timedelta("7D"))


@dataclass(frozen=True)
class Measures:
    """One query's result in numbers. Series are named ``group/series`` where there are several groups."""

    rows: int
    """Between the first and the last row with a value, of the group with the longest history."""
    groups: int
    series: int
    per_group: tuple[int, int, int]
    """Least, median and most series of a group."""
    missing: float
    """Share of the cells without a value, between the first and the last row that have one."""
    longest_gap: pd.Timedelta
    newest: pd.Timestamp | None
    spacing: int
    """Rows from one new value to the next, typically; 1 where each row has its own."""
    constant: tuple[str, ...]
    counters: tuple[str, ...]
    duplicates: tuple[tuple[str, str], ...]
    period: pd.Timedelta | None
    labels: Mapping[str, int]
    """Label to how many values it has over all series."""


def measured(frames: Mapping[Group, Frame], name_of: Mapping[Group, str]) -> Measures:
    """The measures of a query's result; ``name_of`` is each group's name, empty where it need not be shown."""
    sizes = sorted(len(frame.series) for frame in frames.values())
    some = list(frames.items())[:_MOST_GROUPS]
    named = {
        group: [f"{name_of[group]}/{one}" if name_of[group] else one for one in frame.names] for group, frame in some
    }
    cells = [_span(frame) for frame in frames.values()]
    seen, total = (
        (sum(part) for part in zip(*[(there.sum(), there.size) for there in cells], strict=True)) if cells else (0, 0)
    )
    constant, counters, duplicates, spacings = [], [], [], []
    for group, frame in some:
        values = frame.values[-_MOST_ROWS:].astype(float)
        for k, name in enumerate(named[group]):
            column = values[:, k][~np.isnan(values[:, k])]
            if column.size < 3:
                continue
            steps = np.diff(column)
            if not steps.any():
                constant.append(name)
                continue
            spacings.append(_spacing(values[:, k]))
            if _counts(column, steps):
                counters.append(name)
        duplicates += [(named[group][i], named[group][j]) for i, j in _alike(values[:, :_MOST_SERIES])]
    return Measures(
        rows=max((len(there) for there in cells), default=0),
        groups=len(frames),
        series=sum(sizes),
        per_group=(sizes[0], sizes[len(sizes) // 2], sizes[-1]) if sizes else (0, 0, 0),
        missing=1 - seen / total if total else 1.0,
        longest_gap=max(
            (_gap(there) * frame.step for there, frame in zip(cells, frames.values(), strict=True)),
            default=pd.Timedelta(0),
        ),
        newest=max((at for frame in frames.values() if (at := _newest(frame)) is not None), default=None),
        spacing=int(np.median(spacings)) if spacings else 1,
        constant=tuple(constant),
        counters=tuple(counters),
        duplicates=tuple(duplicates),
        period=_period(some),
        labels=_labels(frames),
    )


def _span(frame: Frame) -> np.ndarray:
    """Which cells hold a value, from the first row that has any to the last."""
    rows = np.flatnonzero(frame.observed.any(1))
    return frame.observed[rows[0] : rows[-1] + 1] if rows.size else frame.observed[:0]


def _gap(there: np.ndarray) -> int:
    """The longest run of rows in which nothing was seen."""
    seen = np.flatnonzero(there.any(1))
    return int(np.diff(seen).max(initial=1)) - 1


def _newest(frame: Frame) -> pd.Timestamp | None:
    rows = np.flatnonzero(frame.observed.any(1))
    return frame.start + frame.step * int(rows[-1]) if rows.size else None


def _spacing(column: np.ndarray) -> int:
    """Rows between values that are news: later ones that repeat the one before are not."""
    known = np.flatnonzero(~np.isnan(column))
    fresh = known[np.flatnonzero(np.diff(column[known], prepend=np.nan) != 0)]
    return int(np.median(np.diff(fresh))) if fresh.size > 2 else 1


def _counts(column: np.ndarray, steps: np.ndarray) -> bool:
    """True for a counter that was not made into a rate: it only grows, but for a few falls close to zero."""
    falls = steps < 0
    to_zero = column[1:][falls] <= 0.1 * np.abs(column[:-1][falls])
    return column.size >= 50 and (steps > 0).mean() > 0.2 and falls.mean() < 0.01 and bool(to_zero.all())


def _alike(values: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that say the same, up to scale."""
    if values.shape[1] < 2:
        return []
    filled = np.where(np.isnan(values), np.nanmean(np.where(np.isnan(values).all(0), 0.0, values), axis=0), values)
    spread = filled.std(0)
    varied = np.flatnonzero(spread > 1e-12 * np.maximum(np.abs(filled).max(0), 1e-300))
    if varied.size < 2:
        return []
    unit = (filled[:, varied] - filled[:, varied].mean(0)) / spread[varied]
    first, second = np.nonzero(np.triu(unit.T @ unit / len(unit), 1) > _ALIKE)
    return [(int(varied[i]), int(varied[j])) for i, j in zip(first, second, strict=True)]


def _period(groups: list[tuple[Group, Frame]]) -> pd.Timedelta | None:
    """The period that most groups share."""
    periods: list[pd.Timedelta] = []
    for _, frame in groups:
        values = frame.values[-_MOST_ROWS:, :_MOST_SERIES]
        natural = [int(span / frame.step) for span in _NATURAL if span % frame.step == pd.Timedelta(0)]
        rows = dominant_period(values, natural) if len(values) else None
        if rows is not None:
            periods.append(frame.step * rows)
    return pd.Series(periods).mode().iloc[0] if 2 * len(periods) > len(groups) else None


def _labels(frames: Mapping[Group, Frame]) -> dict[str, int]:
    values: dict[str, set[str]] = {}
    for frame in frames.values():
        for series in frame.series:
            for label, value in series.labels.items():
                values.setdefault(label, set()).add(value)
    return {label: len(seen) for label, seen in sorted(values.items())}
