"""Scores as series: names, labels and times as every store of series takes them.

A :class:`~tsdiff_monitor.timeseries.scores.ScoreBatch` of one group becomes one matrix, a row for each series and a
column for each time (:class:`ScoreRows`): small and quick to keep in a queue.

Label rules: https://prometheus.io/docs/concepts/data_model/. An input's label that has one of our names is kept as
``exported_<name>``, as Prometheus does (https://prometheus.io/docs/prometheus/latest/configuration/configuration/,
``honor_labels``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
import pandas as pd

from tsdiff_connectors.queue.samples import Labels
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["OWN_LABELS", "SERIES", "ScoreRows", "SeriesName", "score_rows", "unpacked"]

SeriesName = Literal["anomaly_score", "attribution", "y", "yhat", "yhat_lower", "yhat_upper"]
SERIES: tuple[SeriesName, ...] = ("anomaly_score", "attribution", "y", "yhat", "yhat_lower", "yhat_upper")

OWN_LABELS = frozenset({"for", "model_alias", "monitor", "scheduler_alias"})

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRows:
    """The series of one group: ``values[S, T]``, NaN where there is none, at ``times_ms[T]``, increasing.

    ``layout`` names the ``S`` series (see :func:`unpacked`); ``source`` distinguishes groups of different monitors,
    models and schedulers: two rows with one source and one time are the same row.
    """

    source: str
    layout: bytes
    times_ms: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.times_ms)

    @property
    def samples(self) -> int:
        """Number of values."""
        return int(np.isfinite(self.values).sum())

    def rows(self, kept: slice | np.ndarray) -> ScoreRows:
        """Only some of the times."""
        return ScoreRows(self.source, self.layout, self.times_ms[kept], self.values[:, kept])


def score_rows(batch: ScoreBatch, wanted: Collection[SeriesName], labels: Mapping[str, str]) -> ScoreRows:
    """The ``wanted`` series of a batch; ``labels`` are added where the series have none of that name.

    Times are cut to whole milliseconds; of rows that fall into one, the first stays.
    """
    frame, scores, expected = batch.frame, batch.scores, batch.expected
    times = frame.start.value + np.arange(len(frame), dtype=np.int64) * frame.step.value
    blocks: list[tuple[SeriesName, int]] = []
    targets: list[Sequence[Series]] = []
    columns: list[np.ndarray] = []

    def add(name: SeriesName, series: Sequence[Series], at: pd.DatetimeIndex | None, values: np.ndarray) -> None:
        if name in wanted:
            if series not in targets:  # most blocks are about the same series: they are listed once
                targets.append(series)
            blocks.append((name, targets.index(series)))
            columns.append(_aligned(values, at, times).T)

    add("anomaly_score", (Series(batch.monitor),), scores.times, scores.score[:, None])
    add("y", frame.series, None, frame.values)
    # Without a score there is nothing to share, although the shares are then given as zeros.
    shares = np.where(np.isnan(scores.score)[:, None], np.nan, scores.attribution)
    add("attribution", scores.series, scores.times, shares)
    if expected is not None:
        add("yhat", expected.series, expected.times, expected.yhat)
        add("yhat_lower", expected.series, expected.times, expected.yhat_lower)
        add("yhat_upper", expected.series, expected.times, expected.yhat_upper)
    own = {"monitor": batch.monitor, "model_alias": batch.model, "scheduler_alias": batch.scheduler}
    source = hashlib.sha256(repr((own, batch.group)).encode()).hexdigest()[:32]
    values = np.concatenate(columns) if columns else np.empty((0, len(frame)))
    named = [[(one.name, dict(one.labels)) for one in series] for series in targets]
    layout = _packed([dict(labels), dict(batch.group), own, named, blocks])
    rows = ScoreRows(source, layout, times // _NS_PER_MS, values)
    return rows.rows(np.diff(rows.times_ms, prepend=-1) > 0)


def unpacked(layout: bytes) -> tuple[Labels, ...]:
    """The ``S`` series that a layout names."""
    added, group, own, targets, blocks = orjson.loads(layout)
    kept: dict[tuple[str, str], tuple[str, str]] = {}  # most pairs are the same in all series of a group

    def labels(found: Mapping[str, str]) -> Labels:
        return tuple(kept.setdefault(pair, pair) for pair in sorted(found.items()) if pair[1])

    return tuple(
        labels({**added, **_foreign({**group, **series}), **own, "for": target, "__name__": name})
        for name, number in blocks
        for target, series in targets[number]
    )


def _foreign(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of an input, under names that are valid and not ours."""
    found: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for name, value in labels.items():
        if name in OWN_LABELS:
            found[f"exported_{name}"] = value
        elif re.fullmatch(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", name, re.ASCII):
            found[name] = value
        elif name != "__name__":
            renamed[name] = value
    for name, value in renamed.items():
        plain = re.sub(r"[^a-zA-Z0-9_]", "_", name).lstrip("_")
        plain = plain if re.match(r"[a-zA-Z]", plain) else f"label_{plain}"
        if plain in found or plain in OWN_LABELS:  # two labels may not become one
            plain += f"_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        found[plain] = value
    return found


def _aligned(values: np.ndarray, at: pd.DatetimeIndex | None, times: np.ndarray) -> np.ndarray:
    """``values[T', K]`` at the times ``at`` as float64 on ``times[T]``; NaN where there is none."""
    there = times if at is None else (at if at.unit == "ns" else at.as_unit("ns")).asi8
    if np.array_equal(there, times):
        return values.astype(np.float64)
    placed = np.full((len(times), values.shape[1]), np.nan)
    _, row, source = np.intersect1d(times, there, return_indices=True)
    placed[row] = values[source]
    return placed


def _packed(layout: list[Any]) -> bytes:
    try:
        return orjson.dumps(layout)
    except TypeError:  # a lone surrogate, which no store takes either
        return orjson.dumps(_encodable(layout))


def _encodable(part: Any) -> Any:
    if isinstance(part, str):
        return part.encode("utf-8", "replace").decode()
    if isinstance(part, dict):
        return {_encodable(key): _encodable(value) for key, value in part.items()}
    return [_encodable(one) for one in part] if isinstance(part, (list, tuple)) else part
