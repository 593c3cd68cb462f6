"""Runs every query of a monitor over its fit window, each by itself, and describes the result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.checks.findings import Finding, findings
from tsdiff_monitor.checks.measures import Measures, measured
from tsdiff_monitor.errors import SourceError, TsdiffError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import floor_time, group_name

__all__ = ["Examined", "examine"]


@dataclass(frozen=True)
class Examined:
    """One query of one monitor: its measures, or the error that it got."""

    monitor: str
    query: str
    seconds: float
    measures: Measures | None = None
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
    error: TsdiffError | None = None


def examine(
    pipeline: Pipeline, now: pd.Timestamp, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Examined]:
    """Each query's examination, as soon as it is done; a query that fails does not stop the others."""
    end = floor_time(now - pipeline.offset, pipeline.step)
    start = floor_time(end - pd.Timedelta(pipeline.model.fit_window), pipeline.step)
    whole = pipeline.request(start, end)
    for query in whole.queries:
        began = clock()
        try:
            reading = pipeline.reader.read(dataclasses.replace(whole, queries=(query,)))
            frames = {group: frame for group, frame in reading.frames.items() if frame.observed.any()}
            several = len(frames) > 1
            measures = measured(frames, {group: group_name(group) if several else "" for group in frames})
        except Exception as error:  # a reader may be third-party code
            failure = known_error(error, monitor=pipeline.name, query=query.name)
            yield Examined(pipeline.name, query.name, clock() - began, error=failure)
            continue
        partial = SourceError("the source gave only part of an answer", reason="partial") if reading.partial else None
        advice = findings(query.name, pipeline.monitor, pipeline.model, measures, now=now, offset=pipeline.offset)
        yield Examined(pipeline.name, query.name, clock() - began, measures, tuple(advice), reading.warnings, partial)
