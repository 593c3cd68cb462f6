"""Reads metrics from InfluxDB 1, 2 and 3 (docs/influxdb.md)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tsdiff_connectors.influxdb.columns import Answer, GarbledError, Labels, RefusedError, UnusableError
from tsdiff_connectors.influxdb.config import InfluxConfig, Language
from tsdiff_connectors.influxdb.counters import counter_rates
from tsdiff_connectors.influxdb.dialects import duration, flux_from_selection, influxql_from_selection
from tsdiff_connectors.influxdb.flux_client import FluxClient
from tsdiff_connectors.influxdb.groups import of_groups
from tsdiff_connectors.influxdb.http_source import HttpSource
from tsdiff_connectors.influxdb.query_text import check_given, fill_in, is_given, labels_ends
from tsdiff_connectors.influxdb.shorthand import Selection, parse_selection
from tsdiff_connectors.influxdb.windows import Span, WindowPlan, make_plan
from tsdiff_connectors.reading.grouping import Samples, series_name, to_frames
from tsdiff_connectors.reading.window_cache import WindowCache
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.http.address import Address, safe_url
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.plugins import Context, Query, Reading, ReadRequest

__all__ = ["InfluxReader"]

_PASSING = ("timeout", "interrupted", "killed", "limit exceeded", "too many", "unavailable", "overload", "shut")
"""Words of errors within answers that may be gone at the next try; the others are the query's fault."""


@dataclass(frozen=True)
class _RangeQuery:
    """One query as it is sent: a text for each span, in ``language``; ``selection`` where it is in the short form.

    ``labels_ends``: the rows that come bear the ends of their windows.
    """

    plan: WindowPlan
    language: Language
    texts: tuple[tuple[Span, str], ...]
    selection: Selection | None
    labels_ends: bool


@dataclass(frozen=True)
class _Fetched:
    """Result of one query on the request's grid."""

    samples: tuple[Samples, ...] = ()
    warnings: tuple[str, ...] = ()
    partial: bool = False


class InfluxReader:
    """A reader of InfluxDB. One request a query, bounded in time; on each tick only rows newer than the last ones."""

    Config = InfluxConfig
    query_options: ClassVar[frozenset[str]] = frozenset({"step", "offset", "tz", "max_points_per_query"})

    def __init__(self, config: InfluxConfig, context: Context, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._context = context
        self._cache = WindowCache()
        self._selects_groups = True
        self._where = f"influxdb reader {context.name!r} ({safe_url(Address.parse(config.url).url)})"
        self._http = None if config.spoken == "flux" else HttpSource(config, context, sleep=sleep)
        self._flux = FluxClient(config, context, sleep=sleep) if config.spoken == "flux" else None

    def __repr__(self) -> str:
        return f"InfluxReader({self._where!r})"

    def read(self, request: ReadRequest) -> Reading:
        """The rows of the request. A query without a single value is left out: absent, not an error.

        Raises :class:`SourceError`: what :mod:`tsdiff_monitor.http.failure` lists, and ``bad_request`` (the query
        cannot work), ``query_error`` (the server said so in its answer), ``not_found`` (no such database or bucket),
        ``garbled``, ``duplicate``, ``too_many_series``.
        """
        if any(is_given(query.expr, self._config.spoken) for query in request.queries):
            self._selects_groups = False
            request = replace(request, groups=None)  # a query in the server's language is asked as it is written
        return self._cache.read(request, self._fetch)

    @property
    def selects_groups(self) -> bool:
        """True as long as all queries that were read are in the short form, which can be asked for some groups only."""
        return self._selects_groups

    def close(self) -> None:
        """Close the connections that are kept open; safe to call twice."""
        for source in (self._http, self._flux):
            if source is not None:
                source.close()

    def _fetch(self, request: ReadRequest) -> Reading:
        if request.start >= request.end or request.groups == frozenset():
            return Reading({})
        if self._config.concurrency == 1 or len(request.queries) == 1:
            brought = [self._query(query, request) for query in request.queries]
        else:
            pool = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="influxdb")
            try:
                brought = list(pool.map(lambda query: self._query(query, request), request.queries))
            finally:
                pool.shutdown(cancel_futures=True)
        samples = [one for part in brought for one in part.samples]
        frames = to_frames(samples, request, source=self._where, max_series=self._config.max_series)
        warnings = tuple(f"{self._where}: {text}" for part in brought for text in part.warnings)
        return Reading(frames, warnings, any(part.partial for part in brought))

    def _query(self, query: Query, request: ReadRequest) -> _Fetched:
        """Everything that one query brings, by as many requests as ``max_points_per_query`` makes necessary."""
        where = f"{self._where}: the query {query.name!r}"
        try:
            asked = self._asked(query, request)
        except ValueError as error:
            raise SourceError(f"{where}: {error}", reason="bad_request", recoverable=False) from None
        try:
            answers = [_within(self._ask(asked, text), span, asked.labels_ends) for span, text in asked.texts]
        except HttpFailure as failure:
            raise _failed(where, failure) from failure
        except RefusedError as error:
            raise _refused(where, str(error)) from None
        except GarbledError as error:
            raise SourceError(f"{where}: the answer cannot be read: {error}", reason="garbled") from None
        except UnusableError as error:
            raise SourceError(f"{where}: {error}", reason="bad_request", recoverable=False) from None
        return _fetched(query, asked, answers, where)

    def _asked(self, query: Query, request: ReadRequest) -> _RangeQuery:
        """The query as it is sent. Raises ``ValueError`` for one that cannot work."""
        config, spoken = self._config, self._config.spoken
        now_ns = int(self._context.now() * 1e9)
        if is_given(query.expr, spoken):
            plan = make_plan(query, request, now_ns=now_ns, source=self._where, lookback=config.lookback)
            check_given(query.expr, spoken, plan.window_ns, query.tz)
            texts = [
                (span, fill_in(query.expr, spoken, *plan.asked(span), plan.window_ns, plan.zone)) for span in plan.spans
            ]
            return _RangeQuery(plan, spoken, tuple(texts), None, labels_ends(query.expr, spoken))
        selection = of_groups(self._selection(query.expr), request)
        before = 1 if selection.aggregate == "rate" else 0
        plan = make_plan(query, request, now_ns=now_ns, source=self._where, before=before)
        language: Language = "flux" if spoken == "flux" else "influxql"
        every = "1d" if plan.zone is not None else duration(plan.window_ns)
        texts = []
        for span in plan.spans:
            if language == "flux":
                texts.append((span, flux_from_selection(selection, config.bucket or "", *span, every, plan.zone)))
            else:
                policy = config.retention_policy
                texts.append((span, influxql_from_selection(selection, policy, *span, every, plan.zone)))
        return _RangeQuery(plan, language, tuple(texts), selection, False)

    def _selection(self, text: str) -> Selection:
        spoken = self._config.spoken
        if spoken != "flux" and is_given(text, "flux"):
            raise ValueError(f"it is written in Flux, and this reader speaks {spoken}; see `language`")
        if spoken == "flux" and is_given(text, "influxql"):
            raise ValueError("it is written in SQL or InfluxQL, and this reader speaks flux; see `language`")
        selection = parse_selection(text)
        if spoken == "flux" and self._config.bucket is None:
            other = "or write it in Flux: from(bucket: ...) |> range(start: v.timeRangeStart, stop: v.timeRangeStop)"
            raise ValueError(f"in the short form it reads the reader's `bucket`, which is not set; set it, {other}")
        return selection

    def _ask(self, asked: _RangeQuery, text: str) -> Answer:
        fields = None if asked.selection is None else asked.selection.fields
        if self._flux is not None:
            return self._flux.query(text, fields)
        assert self._http is not None
        return self._http.query(text, asked.language, fields)


def _fetched(query: Query, asked: _RangeQuery, answers: list[Answer], where: str) -> _Fetched:
    """The answers of one query as series on the request's grid."""
    merged = Answer()
    for answer in answers:
        merged.text |= answer.text
        merged.partial |= answer.partial
        for labels, pieces in answer.pieces.items():
            merged.pieces.setdefault(labels, []).extend(pieces)
    if merged.text and not any(merged.pieces.values()):
        names = ", ".join(sorted(merged.text))
        said = f"{names} holds text, and a metric must be a number; ask for another field, or count it"
        raise SourceError(f"{where}: {said}", reason="bad_request", recoverable=False)
    series = list(merged.series())
    for labels, times, _ in series:
        if (times[1:] == times[:-1]).any():
            raise _twice(where, query, labels)
    if asked.selection is not None and asked.selection.aggregate == "rate":
        series = counter_rates(series, asked.plan, asked.selection.by)
    placed = [Samples(query.name, dict(labels), *asked.plan.placed(times, values)) for labels, times, values in series]
    warnings = []
    if merged.text:
        names = ", ".join(sorted(merged.text))
        warnings.append(f"the query {query.name!r}: text in {names} was left out; name the fields that are numbers")
    if merged.partial:
        said = "the server cut its answer off (`partial`); set `max_points_per_query`, or raise `max-row-limit`"
        warnings.append(f"the query {query.name!r}: {said}")
    return _Fetched(tuple(placed), tuple(warnings), merged.partial)


def _within(answer: Answer, span: Span, ends: bool) -> Answer:
    """The rows of ``answer`` that lie in ``span``; where times are the ``ends`` of windows, they are moved inside."""
    start, stop = span
    pieces: dict[Labels, list[tuple[np.ndarray, np.ndarray]]] = {}
    for labels, parts in answer.pieces.items():
        kept = pieces.setdefault(labels, [])
        for times, values in parts:
            inside = times - 1 if ends else times
            there = (inside >= start) & (inside < stop)
            if there.any():
                kept.append((inside[there], values[there]))
    return replace(answer, pieces=pieces)


def _failed(where: str, failure: HttpFailure) -> SourceError:
    if failure.status == 404 and any(word in failure.body.lower() for word in ("database", "bucket")):
        return SourceError(f"{where}: {failure.message}", reason="not_found", recoverable=False)
    return failure.source_error(where)


def _refused(where: str, said: str) -> SourceError:
    text = " ".join(said.split())[:300]
    if "not found" in text and ("database" in text or "bucket" in text or "retention policy" in text):
        remedy = "check `database`, `retention_policy` or the bucket"
        return SourceError(f"{where}: {text}; {remedy}", reason="not_found", recoverable=False)
    if "unsupported" in text and any(kind in text.lower() for kind in ("string", "bool")):
        text += "; the field is no number: ask for its `last` value (true is 1), or `count` it"
    passing = any(word in text.lower() for word in _PASSING)
    return SourceError(f"{where} was refused: {text}", reason="query_error", recoverable=passing)


def _twice(where: str, query: Query, labels: Mapping[str, str] | Labels) -> SourceError:
    name = series_name(query.name, dict(labels))
    said = f"brings two values of {name!r} for one time; keep the tags that distinguish them, or aggregate over them"
    return SourceError(f"{where} {said}", reason="duplicate", recoverable=False)
