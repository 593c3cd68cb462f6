"""Problems found in a query's result, each with the key to change."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.checks.measures import Measures
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["Finding", "findings"]

_MUCH_MISSING = 0.2
_MANY_SERIES = 200
_SHOWN = 3
_FEWEST_WINDOWS = 4


@dataclass(frozen=True)
class Finding:
    """Something to fix: what was seen, and what to do about it."""

    problem: str
    fix: str


def findings(
    query: str,
    monitor: MonitorConfig,
    model: ModelConfig,
    measures: Measures,
    *,
    now: pd.Timestamp,
    offset: pd.Timedelta,
) -> list[Finding]:
    """The advice about one query of a monitor, most important first."""
    if not measures.series or measures.newest is None:
        fix = f"check the metric's name and labels in `queries.{query}.expr`, and whether the source holds history"
        return [Finding("no series has a value in the whole fit window", fix)]
    checks = (
        _late(measures, now, offset, pd.Timedelta(monitor.step)),
        _short(measures, model, monitor),
        _gaps(measures),
        _coarse(measures, monitor),
        _some(
            measures.counters,
            "only ever grow",
            "they look like counters: watch `rate(...)` or `increase(...)` of them",
        ),
        _some(measures.constant, "never change", "leave them out; a change of one is an event only after a first one"),
        _some(
            tuple(f"{one} and {other}" for one, other in measures.duplicates),
            "are pairs that say the same",
            "keep one of each: what two metrics share counts twice in the score",
        ),
        _crowded(measures, monitor),
    )
    return [finding for finding in checks if finding is not None]


def _late(measures: Measures, now: pd.Timestamp, offset: pd.Timedelta, step: pd.Timedelta) -> Finding | None:
    assert measures.newest is not None
    age = now - measures.newest
    # A row begins a step before its end, and values come ``spacing`` rows apart.
    if age <= offset + step * (1 + measures.spacing):
        return None
    return Finding(
        f"the newest value is {_text(age)} old",
        f"check that the source is still fed, or raise the scheduler's `offset` above {_text(age)}",
    )


def _short(measures: Measures, model: ModelConfig, monitor: MonitorConfig) -> Finding | None:
    least = model.window * _FEWEST_WINDOWS
    if measures.rows >= least:
        return None
    return Finding(
        f"only {measures.rows} rows of history, and a model of window {model.window} wants {least}",
        f"wait for {_text((least - measures.rows) * pd.Timedelta(monitor.step))} more, or lower the model's `window`",
    )


def _gaps(measures: Measures) -> Finding | None:
    if measures.missing <= _MUCH_MISSING or measures.spacing > 1:
        return None
    return Finding(
        f"{measures.missing:.0%} of the cells have no value (longest gap {_text(measures.longest_gap)})",
        "look for series that come and go, or average over time in the query",
    )


def _coarse(measures: Measures, monitor: MonitorConfig) -> Finding | None:
    if measures.spacing <= 1:
        return None
    apart = _text(pd.Timedelta(monitor.step) * measures.spacing)
    return Finding(
        f"a new value comes every {apart} only, the step is {format_duration(monitor.step)}",
        f"set `step: {apart}` for the monitor, or for this query",
    )


def _some(names: tuple[str, ...], what: str, fix: str) -> Finding | None:
    if not names:
        return None
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return Finding(f"{len(names)} {what}: {shown}", fix)


def _crowded(measures: Measures, monitor: MonitorConfig) -> Finding | None:
    if measures.per_group[2] <= _MANY_SERIES:
        return None
    free = {label: n for label, n in measures.labels.items() if label not in monitor.groupby and n > 1}
    hint = ", ".join(f"{label} ({n})" for label, n in sorted(free.items(), key=lambda one: one[1])[:_SHOWN])
    return Finding(
        f"a group has {measures.per_group[2]} series of this query alone",
        f"narrow the query, or split with `groupby`{f'; labels and their values: {hint}' if hint else ''}",
    )


def _text(span: pd.Timedelta) -> str:
    return format_duration(span.to_pytimedelta())
