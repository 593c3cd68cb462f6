"""The ``schedulers`` section: when a monitor's scores and fits run."""

from __future__ import annotations

from datetime import timedelta

from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.fields import ClockTime, PositiveDuration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["SchedulerConfig"]


class SchedulerConfig(StrictModel):
    """The times at which the monitors that name it are scored and fit."""

    infer_every: PositiveDuration
    """Interval at which new rows are read and scored; at least the monitor's `step`."""
    fit_every: PositiveDuration = timedelta(days=1)
    """Interval at which models are fit anew."""
    start_from: ClockTime | None = None
    """Time of day, `"HH:MM"` in `settings.timezone`, at which the fit runs; `null` fits when `fit_every` has passed."""
    offset: Duration = timedelta(seconds=30)
    """Distance between the present and the newest row read, so that the source has every sample by then."""
