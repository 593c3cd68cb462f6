"""Reads metrics from table files: Parquet or CSV, wide or long (the accepted columns: ``docs/data-files.md``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from tsdiff_connectors.files.incidents import labelled_spans, merged, read_culprits
from tsdiff_connectors.files.tables import FileTable, FileTables
from tsdiff_monitor.errors import DataError, SourceError
from tsdiff_monitor.plugins import Context, Extent, LabelledSpan, Query, Reading, ReadRequest
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.timeseries.frame import Group, Series, from_samples
from tsdiff_monitor.timeseries.tables import Layout, Table, check_grid

__all__ = ["FilesReader"]


_Path = Annotated[str, Field(min_length=1)]
_Paths = Annotated[tuple[_Path, ...], Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class _Column:
    """One metric that a request selects: column ``k`` of a table, and how the frame names it."""

    source: FileTable
    k: int
    series: Series


class FilesReader:
    """A reader and a history over a file, or over every file that a glob matches."""

    class Config(StrictModel):
        """Table files as a source. A query's `expr` is a metric name or a glob (`cpu*`), several apart by commas."""

        path: _Path | _Paths
        """A `.parquet`, `.pq` or `.csv` file, a glob of them (`data/*.parquet`, `**` for any depth), or a list."""
        format: Layout | None = None
        """`wide` (a column per metric) or `long` (`t`, `series`, `value`); derived from the columns when left out."""
        fit_fraction: float = Field(default=0.5, gt=0, lt=1)
        """Share of the rows, the oldest, that is fit on where a file has no `split` column."""
        labels: dict[str, str] = Field(default_factory=dict)
        """Labels added to every series, usable in `groupby` beside `file` and (in long files) `series`."""
        interpretation: Path | None = None
        """CSV `series,test_start,test_end,dims_1based`: which metrics were to blame for the labelled incidents."""

        @field_validator("labels")
        @classmethod
        def _not_reserved(cls, labels: dict[str, str]) -> dict[str, str]:
            taken = sorted({"file", "series"} & set(labels))
            if taken:
                raise ValueError(f"the label {taken[0]!r} is set by the reader itself; choose another name")
            return labels

    selects_groups: ClassVar[bool] = True

    def __init__(self, config: Config, context: Context) -> None:  # noqa: ARG002 (the plug-in contract)
        self._config = config
        paths = (config.path,) if isinstance(config.path, str) else config.path
        self._tables = FileTables(paths, config.format, config.labels)
        self._shown = ", ".join(paths)

    def read(self, request: ReadRequest) -> Reading:
        """The rows of the request; a group without a single value in its span is left out."""
        groups, warnings = self._select(request)
        step = request.step.as_unit("ns").value
        first, last = (-(-time.as_unit("ns").value // step) * step for time in (request.start, request.end))
        frames = {}
        for group, columns in groups.items():
            try:
                check_grid((last - first) // step, len(columns), f"a request of step {request.step}")
            except DataError as error:
                raise SourceError(str(error), reason="bad_request", recoverable=False) from error
            samples = [_samples(column, first, last) for column in columns]
            if any(len(times) for _, times, _ in samples):
                frames[group] = from_samples(samples, step=request.step, start=request.start, end=request.end)
        return Reading(frames, tuple(warnings))

    def extents(self, groupby: tuple[str, ...]) -> dict[Group, Extent]:
        """Rows with ``split`` 0 to fit on and 1 to score; else the oldest ``fit_fraction`` of them, and the rest.

        Of a group that several files share, no row that a file wants scored is fit on.
        """
        found: dict[Group, list[tuple[int, int, int, int]]] = {}
        try:
            for source in self._tables.load():
                span = _extent(source.table, self._config.fit_fraction)
                found.setdefault(_group(source, groupby), []).append(span)
        except DataError as error:
            raise SourceError(str(error), reason="bad_data", recoverable=False) from error
        return {group: _joint_extent(spans) for group, spans in found.items()}

    def incidents(self, request: ReadRequest) -> tuple[LabelledSpan, ...] | None:
        """The runs of rows labelled 1 within the request's span; None where no file has a ``label`` column."""
        groups, _ = self._select(request)
        labelled = {g: [c for c in cs if c.source.table.label is not None] for g, cs in groups.items()}
        if not any(labelled.values()):
            return None
        culprits = {} if self._config.interpretation is None else read_culprits(self._config.interpretation)
        found = []
        for group, columns in labelled.items():
            names: dict[FileTable, dict[int, str]] = {}
            for column in columns:
                names.setdefault(column.source, {})[column.k] = column.series.name
            step = request.step.as_unit("ns").value
            spans = [span for source, ks in names.items() for span in labelled_spans(source, ks, culprits, step)]
            for span in merged(spans):
                start = max(pd.Timestamp(span.start_ns, tz="UTC"), request.start)
                end = min(pd.Timestamp(span.end_ns, tz="UTC"), request.end)
                if start < end:
                    found.append(LabelledSpan(group, start, end, culprits=span.culprits))
        return tuple(found)

    def _select(self, request: ReadRequest) -> tuple[dict[Group, list[_Column]], list[str]]:
        """The metrics that the queries name, by group."""
        sources = self._tables.load(partial(_may_be_wanted, request.groups))
        warnings = list(dict.fromkeys(note for source in sources for note in _notes(source)))
        apart = "file" not in request.groupby and len({source.file for source in sources}) > 1
        groups: dict[Group, list[_Column]] = {}
        matched: set[str] = set()
        for source in sources:
            group = _group(source, request.groupby)
            if request.groups is not None and group not in request.groups:
                continue
            picked = _pick(request.queries, source.table.names)
            matched.update(picked.values())
            for k, query in picked.items():
                name = f"{source.file}/{source.table.names[k]}" if apart else source.table.names[k]
                column = _Column(source, k, Series(name, source.labels, query))
                groups.setdefault(group, []).append(column)
        if request.groups is not None:
            return groups, warnings  # a query may match a metric of another group
        idle = [query for query in request.queries if query.name not in matched]
        warnings += [f"the query {q.name!r} matches no metric of {self._shown}: {q.expr}" for q in idle]
        return groups, warnings


def _may_be_wanted(groups: Collection[Group] | None, labels: Mapping[str, str]) -> bool:
    """False where none of ``groups`` (None: all are wanted) can have these labels, which may be some of a series'."""
    if groups is None:
        return True
    return any(all(labels.get(label, value) == value for label, value in group) for group in groups)


def _pick(queries: tuple[Query, ...], names: tuple[str, ...]) -> dict[int, str]:
    """Column to query name: of two queries that match a metric, the first has it."""
    picked: dict[int, str] = {}
    for query in queries:
        parts = [query.expr] if query.expr in names else [part.strip() for part in query.expr.split(",")]
        for k, name in enumerate(names):
            if any(name == part or (part not in names and fnmatchcase(name, part)) for part in parts):
                picked.setdefault(k, query.name)
    return dict(sorted(picked.items()))


def _group(source: FileTable, groupby: tuple[str, ...]) -> Group:
    absent = [label for label in groupby if label not in source.labels]
    if absent:
        raise SourceError(
            f"{source.table.path}: cannot group by {absent[0]!r}, its labels are {', '.join(sorted(source.labels))}; "
            "correct `groupby`, or add the label under the reader's `labels`",
            reason="bad_request",
            recoverable=False,
        )
    return tuple(sorted((label, source.labels[label]) for label in groupby))


def _samples(column: _Column, first_ns: int, last_ns: int) -> tuple[Series, np.ndarray, np.ndarray]:
    table = column.source.table
    rows = slice(*np.searchsorted(table.times_ns, (first_ns, last_ns)))
    values = table.values[rows, column.k]
    there = ~np.isnan(values)
    return column.series, table.times_ns[rows][there], values[there]


def _extent(table: Table, fit_fraction: float) -> tuple[int, int, int, int]:
    """First and (exclusive) last nanosecond to fit on, and to score."""
    times, step = table.times_ns, table.step.value
    fit = None if table.split is None else table.split == 0
    if fit is None or fit.all() or not fit.any():
        fit = np.arange(len(times)) < min(max(1, int(len(times) * fit_fraction)), len(times) - 1)
    return int(times[fit][0]), int(times[fit][-1]) + step, int(times[~fit][0]), int(times[~fit][-1]) + step


def _joint_extent(spans: list[tuple[int, int, int, int]]) -> Extent:
    fit_starts, fit_ends, starts, ends = zip(*spans, strict=True)
    start = min(starts)
    times = (min(fit_starts), min(max(fit_ends), start), start, max(ends))
    return Extent(*(pd.Timestamp(ns, tz="UTC") for ns in times))


def _notes(source: FileTable) -> list[str]:
    return [f"{source.table.path}: {note}" for note in source.table.warnings]
