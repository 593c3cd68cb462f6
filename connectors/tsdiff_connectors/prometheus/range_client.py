"""One range query over HTTP: what is sent, and what a refusal and a remark of the server mean.

API: https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from tsdiff_connectors.prometheus.answers import Answer, AnswerError, parse_answer, server_message
from tsdiff_connectors.prometheus.config import PrometheusConfig
from tsdiff_connectors.prometheus.ranges import Range
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.plugins import Context, Query
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["Notes", "RangeClient"]

_PATH = "/api/v1/query_range"
_ABOUT_THE_QUERY = re.compile(r"PromQL (warning|info)")
_TOO_MUCH = re.compile(
    r"too many (samples|points)|maximum resolution|MaxSamples|maxPointsPer|max-samples", re.IGNORECASE
)


@dataclass(frozen=True)
class Notes:
    """The server's remarks on an answer: ``warnings`` speak against keeping it, ``remarks`` do not.

    ``partial``: the server left something out.
    """

    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    partial: bool = False


class RangeClient:
    """Asks one server. Safe to use from several threads."""

    def __init__(
        self,
        config: PrometheusConfig,
        context: Context,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = HttpClient(config.url, config, context, sleep=sleep, monotonic=monotonic)
        self._where = f"reader {context.name!r}"
        self._parameters = dict(config.extra_params)
        if config.query_timeout is not None:
            self._parameters["timeout"] = format_duration(config.query_timeout)
        self._harmless = [re.compile(pattern) for pattern in config.harmless_warnings]

    def ask(self, query: Query, span: Range) -> Answer:
        """The samples at the points of ``span``. Raises :class:`SourceError` naming the query."""
        where = f"{self._where}: the query {query.name!r}"
        form = {**self._parameters, "query": query.expr}
        form |= {"start": _seconds(span.start), "end": _seconds(span.end), "step": _seconds(span.step)}
        if not span.aligned:
            form.setdefault("nocache", "1")  # VictoriaMetrics moves points that are off the step in order to cache them
        try:
            return parse_answer(self._client.send("POST", _PATH, data=form).content)
        except HttpFailure as failure:
            raise _refusal(failure, where) from failure
        except AnswerError as error:
            raise SourceError(f"{where}: {error}", reason=error.reason, recoverable=error.reason == "garbled") from None

    def notes(self, query: Query, answer: Answer) -> Notes:
        """The server's remarks on an answer, with the query's name.

        A warning that is not about the query itself means that some store did not answer (Thanos' partial responses,
        Prometheus' remote reads), so the answer is partial, unless the user knows it to be harmless.
        """
        warnings: list[str] = []
        remarks = list(answer.infos)
        partial = answer.partial
        for text in answer.warnings:
            harmless = any(pattern.search(text) for pattern in self._harmless)
            (remarks if harmless else warnings).append(text)
            partial = partial or not (harmless or _ABOUT_THE_QUERY.match(text))
        if answer.partial:
            warnings.append("the server says that its answer is partial (isPartial)")
        if answer.histograms:
            warnings.append("native histograms are left out; ask for a number, like histogram_quantile(0.99, ...)")
        head = f"query {query.name}: "
        return Notes(tuple(head + text for text in warnings), tuple(head + text for text in remarks), partial)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _refusal(failure: HttpFailure, where: str) -> SourceError:
    """The server's own words for what is wrong with the query, the client's for anything else."""
    said = server_message(failure.body)
    if failure.status not in (400, 422):
        # Prometheus answers 503 for a query that took too long, and says so in the body.
        reason = "timeout" if said.startswith("timeout:") else failure.reason
        return SourceError(f"{where}: {failure.message}", reason=reason, recoverable=failure.recoverable)
    hint = "; lower `max_points_per_query`, or aggregate in the query" if _TOO_MUCH.search(said) else ""
    text = f"{where} was refused: {said or failure.message}{hint}"
    return SourceError(text, reason="bad_query", recoverable=False)


def _seconds(milliseconds: int) -> str:
    """Unix seconds with as many decimals as are needed."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}" if rest else str(whole)
