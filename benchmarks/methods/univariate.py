"""Classical univariate methods, metric by metric: what is left after a model of level, trend and season.

Each metric's residuals are divided by their mean size in training; a row's score is the mean over metrics.
"""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting

__all__ = ["METHODS", "season_rows"]

_LEAST_ERROR = 0.05
_FIT_ROWS = 2_000
"""The smoothing constant is estimated on this many of the latest training rows; it hardly changes with more."""


def season_rows(rows: int, step_seconds: float) -> int:
    """A day in rows where there are two of them, else an hour, else the longest season two of which fit (2 rows)."""
    for seconds in (86_400, 3_600):
        period = round(seconds / step_seconds)
        if 2 <= period <= rows // 2:
            return period
    return max(rows // 2, 2)


def _stl(train: np.ndarray, setting: Setting) -> Scorer:
    """STL (Cleveland et al. 1990) by statsmodels, of the training and of the test rows each by themselves."""
    scaling = Scaling.fit(train)
    usual = np.abs(_stl_residuals(scaling(train), setting.step_seconds)).mean(0) + _LEAST_ERROR
    return lambda test: (np.abs(_stl_residuals(scaling(test), setting.step_seconds)) / usual).mean(1)


def _stl_residuals(z: np.ndarray, step_seconds: float) -> np.ndarray:
    from statsmodels.tsa.seasonal import STL

    period = season_rows(len(z), step_seconds)
    residuals = np.zeros_like(z)
    if len(z) < 2 * period:
        return np.asarray(z - z.mean(0))
    # Smoothing every row takes minutes for a season of a day; a tenth of the rows, interpolated, gives the same curve.
    jump = max(period // 10, 1)
    for k in np.flatnonzero(np.ptp(z, axis=0)):
        fit = STL(z[:, k], period=period, seasonal_jump=1, trend_jump=jump, low_pass_jump=jump).fit()
        residuals[:, k] = fit.resid
    return residuals


def _exponential_smoothing(train: np.ndarray, setting: Setting) -> Scorer:
    """One-step forecast error of simple exponential smoothing, its constant estimated per metric by statsmodels."""
    del setting
    scaling = Scaling.fit(train)
    z = scaling(train)
    constants = np.array([_smoothing_constant(z[-_FIT_ROWS:, k]) for k in range(z.shape[1])])
    usual = np.abs(_smoothing_residuals(z, constants)).mean(0) + _LEAST_ERROR
    return lambda test: (np.abs(_smoothing_residuals(scaling(test), constants)) / usual).mean(1)


def _smoothing_constant(z: np.ndarray) -> float:
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing

    if len(z) < 10 or np.ptp(z) == 0:
        return 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that does not converge still gives a usable constant
        fitted = SimpleExpSmoothing(z, initialization_method="heuristic").fit()
    constant = float(fitted.params["smoothing_level"])
    # A constant of 0 or 1 would never follow a change, or follow it at once.
    return min(max(constant, 0.01), 0.99) if np.isfinite(constant) else 0.5


def _smoothing_residuals(z: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """``z[t]`` minus the level after row t - 1; the level starts at the first row."""
    from scipy.signal import lfilter

    residuals = np.zeros_like(z)
    for k, a in enumerate(constants):
        level, _ = lfilter([a], [1.0, a - 1.0], z[:, k], zi=[(1.0 - a) * z[0, k]])
        residuals[1:, k] = z[1:, k] - level[:-1]
    return residuals


METHODS = {
    "stl": Method("absolute residual of STL with a season of a day, or an hour in short series", _stl),
    "exponential_smoothing": Method("absolute one-step error of exponential smoothing", _exponential_smoothing),
}
