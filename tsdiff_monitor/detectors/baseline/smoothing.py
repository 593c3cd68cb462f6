"""Exponential smoothing: the level of the rows before, with weights that halve at a rate learnt per metric.

Brown (1956); Hyndman & Athanasopoulos, *Forecasting: Principles and Practice*, 8.1. The smoothing rates are estimated
by statsmodels (https://www.statsmodels.org/stable/generated/statsmodels.tsa.holtwinters.SimpleExpSmoothing.html).
The weights end with the window, so a forecast rests on a fixed number of rows: it is the same whether rows come one by
one or all at once. Values far from the window's median are left out, in the manner of robust smoothing (Gelper,
Fried & Croux 2010): else an incident's values would be expected once it is over, and the return to normal be reported
as one. A level that has lasted for half a window becomes the median, and is followed.
"""

from __future__ import annotations

import warnings
from typing import Literal, Self

import numpy as np

from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Smoothing", "hidden_rows"]

_LEAST_SPREAD = 0.05
"""In standard deviations of the history: of a metric that hardly ever moves, no value lies far for a rounding."""
_ROWS = 4096
"""The newest rows of the history are enough to learn one number per metric from."""
_FAR = 5.0
"""In units of a metric's spread, its usual distance from the median of its window."""
_FASTEST = 0.9
"""Even a random walk's level keeps a trace of the rows before, to fall back on where the newest are missing."""


class Smoothing(StrictModel):
    """``rates`` of the K metrics, in (0, 1): the weight of the newest row; ``spreads``: usual distance of each."""

    method: Literal["smoothing"] = "smoothing"
    window: int
    rates: tuple[float, ...]
    spreads: tuple[float, ...]

    @classmethod
    def fit(cls, scaled: np.ndarray, window: int) -> Self:
        """Learn from ``scaled[T, K]``, NaN where missing."""
        slowest = 1.0 / window
        newest = scaled[-_ROWS:].astype(np.float64)
        distance = np.abs(newest - _medians(newest, window))
        seen = ~np.isnan(distance)
        spreads = np.where(seen, distance, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
        return cls(
            window=window,
            rates=tuple(_rate(column, slowest) for column in newest.T),
            spreads=tuple(np.maximum(spreads, _LEAST_SPREAD).tolist()),
        )

    @property
    def metrics(self) -> int:
        """K."""
        return len(self.rates)

    def forecast(
        self,
        scaled: np.ndarray,
        clock: np.ndarray,  # noqa: ARG002 - no season
        first: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Forecasts of the rows ``first <= t < T`` of ``scaled[T, K]``, and the support of each.

        Both are ``[T - first, K]``: the forecast, 0 (the mean of the history) where the window holds no value, and the
        share of the window's weight that was observed. ``clock[T]`` counts the rows since the epoch.
        """
        T, K = scaled.shape
        total, kept, weight = (np.zeros((max(T - first, 0), K)) for _ in range(3))
        most = np.zeros(K)
        seen = ~np.isnan(scaled)
        value = np.where(seen, scaled, 0.0).astype(np.float64)
        begin = max(first - self.window, 0)
        median = _medians(scaled[begin:].astype(np.float64), self.window)[first - begin :]
        reach = _FAR * np.array(self.spreads)
        keep = 1.0 - np.array(self.rates)
        factor = np.ones(K)
        for lag in range(hidden_rows(self.window), self.window):
            begin = max(lag - first, 0)  # rows of the result before that have nothing this long ago
            past = slice(first + begin - lag, T - lag)
            if past.start < past.stop:
                near = seen[past] & (np.abs(value[past] - median[begin:]) <= reach)
                total[begin:] += np.where(near, factor * value[past], 0.0)
                kept[begin:] += factor * near
                weight[begin:] += factor * seen[past]
            most += factor
            factor = factor * keep
        usual = np.nan_to_num(median)  # where all that is left of the window lies far apart
        return np.divide(total, kept, out=usual, where=kept > 0), weight / most


def hidden_rows(window: int) -> int:
    """Number of newest rows, the row to forecast included, that a forecast is made without."""
    return max(window // 8, 1)


def _medians(scaled: np.ndarray, window: int) -> np.ndarray:
    """The median ``[T, K]`` of the rows that each row is forecast from; NaN where they hold no value."""
    import pandas as pd

    hidden = hidden_rows(window)
    rolling = pd.DataFrame(scaled).rolling(window - hidden, min_periods=1)
    return np.asarray(rolling.median().shift(hidden).to_numpy(np.float64))


def _rate(column: np.ndarray, slowest: float) -> float:
    """The smoothing rate of least one-step error of a metric; the slowest where there is nothing to learn from."""
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing

    x = column[~np.isnan(column)].astype(np.float64)
    if len(x) < 8 or np.ptp(x) == 0:
        return slowest
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an optimum lies at the edge is no concern here
        fitted = SimpleExpSmoothing(x, initialization_method="known", initial_level=float(x[: len(x) // 8 + 1].mean()))
        rate = float(fitted.fit().params["smoothing_level"])
    return min(max(rate, slowest), _FASTEST) if np.isfinite(rate) else slowest
