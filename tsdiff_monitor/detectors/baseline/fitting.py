"""Fit of a baseline's forecaster, and the rows held out to learn its residuals from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.forecaster import Forecaster
from tsdiff_monitor.detectors.baseline.seasonal import Seasonal
from tsdiff_monitor.detectors.baseline.smoothing import Smoothing
from tsdiff_monitor.scoring.holdout import split_history

__all__ = ["fit_forecaster"]

_FORECASTER_ROWS = 512
"""Rows that a forecaster is tried on at most: it is fit anew for every few of them, in milliseconds each."""
_SHARE = 0.2
_WINDOWS = 4
"""Fewer windows than that, held out, would say little about normal residuals."""
_NATURAL = tuple(pd.Timedelta(text) for text in ("1h", "12h", "1D", "7D"))

Rows = tuple[tuple[int, int], ...]
"""(first, end) of stretches of rows."""


def fit_forecaster(
    scaled: np.ndarray, clock: np.ndarray, step: pd.Timedelta, config: BaselineModelConfig
) -> tuple[Smoothing | Seasonal | Forecaster, Rows]:
    """The forecast fit on ``scaled[T, K]`` at ``clock[T]``, rows since the epoch, and the rows held out from that."""
    T = len(scaled)
    if config.method == "forecaster":  # it is fit where it forecasts: any rows will do
        forecaster = Forecaster.fit(scaled, config.window, config.forecaster, config.parameters)
        return forecaster, ((max(T - _FORECASTER_ROWS, 0), T),)
    if config.method == "smoothing":
        held_out = split_history(scaled, config.window).held_out
        training = scaled.copy()
        for begin, end in held_out if len(held_out) > 1 else ():  # else the history is used for both
            training[begin:end] = np.nan
        return Smoothing.fit(training, config.window), held_out
    # In one piece, so that it holds every hour of the day; a profile fits the rows it was made of too well.
    begin = T - int(T * _SHARE)
    if T - begin < _WINDOWS * config.window:
        return Seasonal.fit(scaled, clock, config.window, 0), ((0, T),)
    natural = [round(period / step) for period in _NATURAL]
    period = None if config.period == "auto" else config.period
    return Seasonal.fit(scaled[:begin], clock[:begin], config.window, period, natural), ((begin, T),)
