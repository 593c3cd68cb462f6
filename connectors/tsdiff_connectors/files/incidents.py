"""Labelled incidents of table files: runs of anomalous rows, with the culprits where a file names them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsdiff_connectors.files.tables import FileTable
from tsdiff_monitor.errors import SourceError

__all__ = ["Culprits", "Span", "labelled_spans", "merged", "read_culprits"]

_PAUSE_STEPS = 10
"""A run of anomalous rows ends where the recording pauses longer: the time in between has no labels."""

Culprits = Mapping[str, tuple[tuple[int, int, tuple[int, ...]], ...]]
"""By file: first and (exclusive) last row among those to be scored, and the anomalous metrics counted from 0."""


@dataclass(frozen=True)
class Span:
    """An incident ``start_ns <= t < end_ns``, with the names of its culprits in the frame."""

    start_ns: int
    end_ns: int
    culprits: tuple[str, ...]


def labelled_spans(source: FileTable, names: Mapping[int, str], culprits: Culprits, step_ns: int) -> list[Span]:
    """The runs of ``label == 1``. ``names`` maps the selected metrics' columns to their names in the frame."""
    table = source.table
    assert table.label is not None
    step_ns = table.step.value if len(table) > 1 else step_ns
    rows = np.flatnonzero(table.label == 1)
    apart = (np.diff(rows) > 1) | (np.diff(table.times_ns[rows]) > _PAUSE_STEPS * step_ns)
    known = list(_known(source, culprits, step_ns))
    spans = []
    for run in np.split(rows, np.flatnonzero(apart) + 1):
        if len(run):
            start, end = int(table.times_ns[run[0]]), int(table.times_ns[run[-1]]) + step_ns
            metrics = {k for first, last, ks in known if first < end and start < last for k in ks}
            if table.layout == "long":
                metrics = {0}  # a long table labels each series by itself
            spans.append(Span(start, end, tuple(names[k] for k in sorted(metrics) if k in names)))
    return spans


def merged(spans: list[Span]) -> list[Span]:
    """Overlapping spans of one group (its files may share an incident) as one, sorted by start."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_ns):
        if found and span.start_ns < found[-1].end_ns:
            last = found.pop()
            culprits = tuple(dict.fromkeys(last.culprits + span.culprits))
            span = Span(last.start_ns, max(last.end_ns, span.end_ns), culprits)
        found.append(span)
    return found


def read_culprits(path: Path) -> Culprits:
    """Read ``series,test_start,test_end,dims_1based``. Raises :class:`SourceError` naming the line."""
    found: dict[str, list[tuple[int, int, tuple[int, ...]]]] = {}
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, row in enumerate(csv.DictReader(file), start=2):  # noqa: B007 (used in the message)
                metrics = tuple(int(number) - 1 for number in row["dims_1based"].split(","))
                found.setdefault(row["series"], []).append((int(row["test_start"]), int(row["test_end"]), metrics))
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; check `interpretation`", reason="not_found"
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SourceError(
            f"{path}: line {line} is not `series,test_start,test_end,dims_1based` with whole numbers; correct the file",
            reason="bad_data",
            recoverable=False,
        ) from None
    return {series: tuple(segments) for series, segments in found.items()}


def _known(source: FileTable, culprits: Culprits, step_ns: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """The segments of this file as times: start, end (exclusive) and metrics."""
    table = source.table
    times = table.times_ns if table.split is None else table.times_ns[table.split == 1]
    for first, last, metrics in culprits.get(source.file, ()):
        if not 0 <= first < last <= len(times) or not all(0 <= k < len(table.names) for k in metrics):
            raise SourceError(
                f"{table.path}: the culprits name rows {first} to {last} and metrics up to {max(metrics) + 1}, but "
                f"there are {len(times)} rows to score and {len(table.names)} metrics; check `interpretation`",
                reason="bad_data",
                recoverable=False,
            )
        yield int(times[first]), int(times[last - 1]) + step_ns, metrics
