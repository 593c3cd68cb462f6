"""Series as a source answers them, made into a frame per group: for readers whose series carry labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

__all__ = ["Samples", "check_series", "grid_ns", "series_name", "to_frames"]

_METRIC = "__name__"
"""Prometheus' label for a metric's own name. It is no part of a series' name: expressions drop it."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One series of an answer: ``times_ns`` int64 ``[N]`` (nanoseconds since the epoch) and ``values`` float ``[N]``.

    ``query`` is the name of the query that brought it. NaN and infinite values count as missing.
    """

    query: str
    labels: Mapping[str, str]
    times_ns: np.ndarray
    values: np.ndarray


def grid_ns(request: ReadRequest) -> tuple[int, int, int]:
    """The request's grid: its first row, the row after its last one and its step, in nanoseconds since the epoch."""
    step = request.step.as_unit("ns").value
    first, last = (-(-time.as_unit("ns").value // step) * step for time in (request.start, request.end))
    return first, max(first, last), step


def series_name(query: str, labels: Mapping[str, str]) -> str:
    """``query`` alone, or ``query{device="sda",mode="idle"}`` for labels beyond those of the group."""
    if not labels:
        return query
    pairs = ",".join(f"{label}={json.dumps(labels[label], ensure_ascii=False)}" for label in sorted(labels))
    return f"{query}{{{pairs}}}"


def check_series(counts: Mapping[str, int], *, source: str, max_series: int) -> None:
    """Raises :class:`SourceError` (``too_many_series``) where all queries together bring more than ``max_series``.

    ``counts`` holds how many each query brings. A reader may ask before the whole answer is there.
    """
    total = sum(counts.values())
    if total <= max_series:
        return
    query, most = max(counts.items(), key=itemgetter(1))
    raise SourceError(
        f"{source}: the answer has {total:,} series, more than the {max_series:,} that `max_series` allows; the query "
        f"{query!r} alone brings {most:,}: aggregate it over the labels that are not needed (`sum by (...)`), select "
        "fewer, or raise `max_series`",
        reason="too_many_series",
        recoverable=False,
    )


def to_frames(samples: Sequence[Samples], request: ReadRequest, *, source: str, max_series: int) -> dict[Group, Frame]:
    """Split ``samples`` by the request's ``groupby`` labels and put each group on the request's grid.

    A sample goes into the cell whose interval ``[t, t + step)`` it falls in, the latest of a cell wins. A series is
    called after its query and the labels that are neither the group's nor ``__name__``: what a series is called never
    depends on which others there are. Series stand in the order of the queries, then of their names. One without any
    value in the span is left out, and so is a group without any such series, or that is not among the request's.

    Raises :class:`SourceError`, with ``source`` in its message: more than ``max_series`` series (``too_many_series``),
    a series without one of the ``groupby`` labels (``bad_request``), or two that nothing distinguishes (``duplicate``).
    """
    check_series(Counter([one.query for one in samples]), source=source, max_series=max_series)
    groupby = tuple(sorted(request.groupby))
    hidden = frozenset((*groupby, _METRIC))
    rank = {query.name: at for at, query in enumerate(request.queries)}
    groups: dict[Group, dict[tuple[int, str], Samples]] = {}
    for one in samples:
        labels = one.labels
        try:
            group = tuple([(label, labels[label]) for label in groupby])
        except KeyError as error:
            raise _lacking(one, str(error.args[0]), source) from None
        if request.groups is not None and group not in request.groups:
            continue
        name = series_name(one.query, {label: labels[label] for label in labels.keys() - hidden})
        members = groups.setdefault(group, {})
        key = (rank[one.query], name)
        if key in members:
            raise _duplicate(members[key], one, name, source)
        members[key] = one
    first, last, step = grid_ns(request)
    start = pd.Timestamp(first, tz="UTC")
    frames = {}
    for group in sorted(groups):
        keys = sorted(groups[group])
        ordered = [groups[group][key] for key in keys]
        values = _cells(ordered, first, (last - first) // step, step)
        there = np.asarray(np.isfinite(values).any(axis=0))
        if not there.any():
            continue
        series = [
            Series(name, {label: value for label, value in one.labels.items() if label != _METRIC}, one.query)
            for (_, name), one, kept in zip(keys, ordered, there, strict=True)
            if kept
        ]
        frames[group] = Frame(start, request.step, values if there.all() else values[:, there], tuple(series))
    return frames


def _cells(members: Sequence[Samples], first: int, rows: int, step: int) -> np.ndarray:
    """The values of one group, float32 ``[rows, len(members)]``."""
    values = np.full((rows, len(members)), np.nan, dtype=np.float32)
    lengths = [len(one.times_ns) for one in members]
    times = np.concatenate([one.times_ns for one in members])
    with np.errstate(over="ignore"):  # a number beyond float32 becomes an infinity, and that a gap
        sample = np.concatenate([one.values for one in members]).astype(np.float32)
    columns = np.repeat(np.arange(len(members)), lengths)
    if (np.diff(times)[np.diff(columns) == 0] < 0).any():
        order = np.lexsort((times, columns))  # stable: of two samples with one time the later in the input stays
        times, sample, columns = times[order], sample[order], columns[order]
    cells = (times - first) // step
    kept = (cells >= 0) & (cells < rows)
    values[cells[kept], columns[kept]] = sample[kept]  # numpy assigns in order: the latest of a cell stays
    return values


def _lacking(one: Samples, label: str, source: str) -> SourceError:
    there = ", ".join(sorted(one.labels.keys() - {_METRIC})) or "none"
    return SourceError(
        f"{source}: cannot group by {label!r}, a series of the query {one.query!r} has the labels {there}; keep the "
        f"label in the query (like `by ({label})`), or correct `groupby`",
        reason="bad_request",
        recoverable=False,
    )


def _duplicate(one: Samples, other: Samples, name: str, source: str) -> SourceError:
    metrics = [labels[_METRIC] for labels in (one.labels, other.labels) if _METRIC in labels]
    if len(set(metrics)) == 2:
        remedy = f"they differ only in their metric, {metrics[0]} and {metrics[1]}: give each a query of its own"
    else:
        remedy = "aggregate in the query (like `sum by (...)`), or keep a label that distinguishes them"
    return SourceError(
        f"{source}: the query {one.query!r} brings two series that are both {name!r} in one group; {remedy}",
        reason="duplicate",
        recoverable=False,
    )
