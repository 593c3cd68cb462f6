"""The reader: asks each query's ranges, several at once, and makes frames of the answers.

Long readings, such as those of fits, have a smaller pool of threads of their own.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tsdiff_connectors.prometheus.answers import Answer
from tsdiff_connectors.prometheus.config import MOST_POINTS, PrometheusConfig
from tsdiff_connectors.prometheus.range_client import Notes, RangeClient
from tsdiff_connectors.prometheus.ranges import Range, Schedule, schedule
from tsdiff_connectors.reading.grouping import Samples, check_series, to_frames
from tsdiff_connectors.reading.window_cache import WindowCache
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, Query, Reading, ReadRequest

__all__ = ["PrometheusReader"]

_NS = 1_000_000
_LONG = 2_000
"""Points of a query beyond which a reading counts as long: more than a day of minutes, which no tick asks for."""


@dataclass(frozen=True, eq=False)
class _Part:
    """One request to the server: one range of one query."""

    query: Query
    schedule: Schedule
    range: Range


class PrometheusReader:
    """A reader of the Prometheus query API. Safe to use from several threads."""

    Config = PrometheusConfig
    query_options: ClassVar[frozenset[str]] = frozenset({"step", "offset", "tz", "max_points_per_query"})

    def __init__(
        self,
        config: PrometheusConfig,
        context: Context,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``sleep`` and ``monotonic`` (seconds) time retries and deadlines."""
        self._config = config
        self._where = f"reader {context.name!r}"
        self._client = RangeClient(config, context, sleep=sleep, monotonic=monotonic)
        name = f"{context.name}-query"
        self._short = ThreadPoolExecutor(config.concurrency, thread_name_prefix=name)
        self._long = ThreadPoolExecutor(max(1, config.concurrency // 2), thread_name_prefix=f"{name}-long")
        self._cache = WindowCache(reread=config.reread, max_cells=config.cached_cells)
        # Readers are dropped, not closed, when a configuration is replaced: their connections must not stay open.
        self._end = weakref.finalize(self, _end, (self._short, self._long), self._client)

    def read(self, request: ReadRequest) -> Reading:
        """Every query over the request's span; from the server only rows that are not known from the last reading.

        The server's warnings are passed on with the query's name, and ``partial`` is set where it says that it left
        something out. Raises :class:`SourceError` naming the query: what the server refuses or cannot answer, and
        series that are too many or cannot be distinguished.
        """
        remarks: list[str] = []
        request = replace(request, groups=None)  # an expression's labels cannot be narrowed down from outside
        reading = self._cache.read(request, lambda asked: self._fetch(asked, remarks))
        return replace(reading, warnings=tuple(dict.fromkeys((*reading.warnings, *remarks))))

    def close(self) -> None:
        """End the threads and close the connections; safe to call twice."""
        self._end()

    def _fetch(self, request: ReadRequest, remarks: list[str]) -> Reading:
        """All queries from the server; what does not speak against keeping the answer is added to ``remarks``."""
        parts = list(self._parts(request))
        answers: dict[str, list[Answer]] = {}
        notes: list[Notes] = []
        for part, answer in zip(parts, self._ask_all(parts), strict=True):
            answers.setdefault(part.query.name, []).append(answer)
            notes.append(self._client.notes(part.query, answer))
        samples = [one for query, several in answers.items() for one in _samples(query, several)]
        frames = to_frames(samples, request, source=self._where, max_series=self._config.max_series)
        remarks.extend(remark for note in notes for remark in note.remarks)
        warnings = tuple(dict.fromkeys(warning for note in notes for warning in note.warnings))
        return Reading(frames, warnings, any(note.partial for note in notes))

    def _parts(self, request: ReadRequest) -> Iterator[_Part]:
        for query in request.queries:
            try:
                points = schedule(query, request)
            except SourceError as error:
                raise SourceError(f"{self._where}: {error}", reason=error.reason, recoverable=False) from None
            most = query.max_points_per_query or self._config.max_points_per_query
            for one in points.ranges(min(most, MOST_POINTS)):
                yield _Part(query, points, one)

    def _ask_all(self, parts: list[_Part]) -> list[Answer]:
        """The answers in the order of the parts. At the first failure, requests not sent yet are given up."""
        given_up = threading.Event()

        def ask(part: _Part) -> Answer | None:
            if given_up.is_set():
                return None
            try:
                return self._ask(part)
            except BaseException:
                given_up.set()  # here, not where it is noticed: until then this thread would send the next ones
                raise

        # Of its own, so that a tick's few requests do not wait behind the many of a fit.
        pool = self._long if any(len(part.schedule.times) > _LONG for part in parts) else self._short
        futures = {pool.submit(ask, part): part for part in parts}
        answers: dict[_Part, Answer] = {}
        series: Counter[str] = Counter()
        try:
            for future in as_completed(futures):
                part, answer = futures[future], future.result()
                if answer is not None:
                    answers[part] = answer
                    series[part.query.name] = max(series[part.query.name], len(answer.labels))
                    check_series(series, source=self._where, max_series=self._config.max_series)
        finally:
            given_up.set()
        return [answers[part] for part in parts]

    def _ask(self, part: _Part) -> Answer:
        """The answer to one request, its samples on the rows that they stand for."""
        answer = self._client.ask(part.query, part.range)
        try:
            times, values, lengths = part.schedule.rows(answer.times, answer.values, answer.lengths)
        except ValueError as error:
            raise SourceError(
                f"{self._where}: the query {part.query.name!r} brings {error}; something before the server moves them: "
                "turn its alignment off, or make `offset` a multiple of the step and leave out `tz`",
                reason="misaligned",
                recoverable=False,
            ) from None
        return replace(answer, times=times, values=values, lengths=lengths)


def _end(pools: tuple[ThreadPoolExecutor, ...], client: RangeClient) -> None:
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)
    client.close()


def _samples(query: str, answers: list[Answer]) -> Iterator[Samples]:
    """The series of a query, put together from its parts, which are in the order of time."""
    pieces: dict[tuple[frozenset[tuple[str, str]], int], list[Samples]] = {}
    for answer in answers:
        twins: Counter[frozenset[tuple[str, str]]] = Counter()  # a server that repeats a series must not pass unseen
        times, ends = answer.times * _NS, np.cumsum(answer.lengths).tolist()
        for labels, first, last in zip(answer.labels, [0, *ends], ends, strict=False):
            piece = Samples(query, labels, times[first:last], answer.values[first:last])
            if len(answers) == 1:
                yield piece
                continue
            key = frozenset(labels.items())
            pieces.setdefault((key, twins[key]), []).append(piece)
            twins[key] += 1
    for several in pieces.values():
        times = np.concatenate([piece.times_ns for piece in several])
        yield Samples(query, several[0].labels, times, np.concatenate([piece.values for piece in several]))
