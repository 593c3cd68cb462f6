"""The results of one tick and of one fit of a monitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["FitResult", "TickResult"]


@dataclass
class TickResult:
    """The result of one tick. ``errors`` are per group, or writer, or of ``absences``: they stopped that, no other.

    ``without_model`` are the groups to be fit; those of them in ``cold_start`` are scored by their fallback meanwhile.
    ``calendar_errors`` are the calendar files that could not be read; what was read of them last stayed in use.
    """

    rows: int = 0
    groups: int = 0
    changes: list[EventChange] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)
    without_model: list[Group] = field(default_factory=list)
    cold_start: list[Group] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    scored_until: pd.Timestamp | None = None
    calendar_errors: dict[Path, DataError] = field(default_factory=dict)


@dataclass
class FitResult:
    """The result of one fit: groups fit, groups whose model was current already, and groups that could not be fit."""

    fitted: list[Group] = field(default_factory=list)
    current: list[Group] = field(default_factory=list)
    errors: list[tuple[str, TsdiffError]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    calendar_errors: dict[Path, DataError] = field(default_factory=dict)
