"""Configuration of the `prometheus` reader."""

from __future__ import annotations

import re
from datetime import timedelta

from pydantic import Field, field_validator

from tsdiff_monitor.http.address import ServerUrl
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.settings.durations import Duration

__all__ = ["MOST_POINTS", "PrometheusConfig"]

MOST_POINTS = 11_000
"""Points of a series that Prometheus answers at most, with any settings."""

_OWN_PARAMETERS = {"query", "start", "end", "step"}


class PrometheusConfig(HttpOptions):
    """A server with the Prometheus query API. A query's `expr` is PromQL (or MetricsQL, where that is spoken)."""

    url: ServerUrl
    """The address of the API, without `/api/v1`: `http://prometheus:9090`, `https://mimir.example/prometheus`."""
    max_points_per_query: int = Field(default=MOST_POINTS, ge=1, le=MOST_POINTS)
    """Points of one series that one request asks for; longer spans are read in parts. Lower it where the server says
    that a query loads too many samples. A query's own `max_points_per_query` takes precedence."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Most requests that are under way at once, over all monitors that use this reader; half as many more for readings
    of over 2,000 points, such as those of fits."""
    max_series: int = Field(default=100_000, ge=1)
    """Most series that the queries of one monitor may bring together; more are an error."""
    query_timeout: Duration | None = None
    """Limit of the server's time for one query (its parameter `timeout`; the server's own limit when left out).
    Servers keep it loosely: `read_timeout` and `timeout` hold in any case."""
    extra_params: dict[str, str] = Field(default_factory=dict)
    """Parameters added to each request, such as `dedup` and `partial_response` of Thanos or `nocache` of
    VictoriaMetrics. For secrets use `http_headers`."""
    harmless_warnings: tuple[str, ...] = ()
    """Regular expressions for warnings that do not mean that something was left out. Any other warning, unless it is
    about the query itself (`PromQL warning`), makes an answer partial, and nothing is scored from it."""
    reread: int = Field(default=5, ge=0)
    """Number of the newest rows that are read again on each tick, because samples that come late may change them. Rows
    that are still empty are read again in any case."""
    cached_cells: int = Field(default=20_000_000, ge=0)
    """Values (rows x series) kept between ticks, 4 bytes each, so that only new rows are asked for; 0 keeps none."""

    @field_validator("query_timeout")
    @classmethod
    def _some_time(cls, span: timedelta | None) -> timedelta | None:
        if span is not None and span <= timedelta(0):
            raise ValueError("it must be positive, like 30s")
        return span

    @field_validator("extra_params")
    @classmethod
    def _not_our_own(cls, parameters: dict[str, str]) -> dict[str, str]:
        for name in parameters:
            if name in _OWN_PARAMETERS:
                raise ValueError(f"the parameter {name!r} is set by the reader itself; remove it")
            if name == "timeout":
                raise ValueError("for the parameter 'timeout' use `query_timeout`")
        return parameters

    @field_validator("harmless_warnings")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return patterns
