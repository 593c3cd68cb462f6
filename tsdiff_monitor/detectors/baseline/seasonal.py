"""A seasonal profile by STL, and exponential smoothing of what it leaves.

STL: Cleveland et al. (1990), *STL: A Seasonal-Trend Decomposition Procedure Based on Loess*, by statsmodels
(https://www.statsmodels.org/stable/generated/statsmodels.tsa.seasonal.STL.html). A season's strength is the
share of the detrended values' variance that the profile explains, adjusted for what it explains of mere noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from tsdiff_monitor.detectors.baseline.period import dominant_period
from tsdiff_monitor.detectors.baseline.smoothing import Smoothing
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["Seasonal"]

_MOST_BINS = 288
"""Bins of a profile at most (five minutes of a day): longer periods are averaged, which also keeps STL fast."""
_LEAST_STRENGTH = 0.3
"""A weaker season is noise, and would be added to the forecast as such."""


class Seasonal(StrictModel):
    """A profile ``[P, K]`` over ``period`` rows, locked to the clock, and the smoothing of the values without it.

    Period 0 and an empty profile stand for metrics without a season.
    """

    method: Literal["seasonal"] = "seasonal"
    period: int
    profile: tuple[tuple[float, ...], ...]
    level: Smoothing

    @classmethod
    def fit(
        cls, scaled: np.ndarray, clock: np.ndarray, window: int, period: int | None, natural: Sequence[int] = ()
    ) -> Self:
        """Learn from ``scaled[T, K]`` at ``clock[T]``, rows since the epoch.

        ``period`` None is found from the rows, ``natural`` ones being likely; 0, and one of which there are not two, is
        no season.
        """
        period = dominant_period(scaled, natural) or 0 if period is None else period
        if period < 2 or len(scaled) < 2 * period:
            return cls(period=0, profile=(), level=Smoothing.fit(scaled, window))
        profile = _profile(scaled, clock, period)
        level = Smoothing.fit(scaled - _at(profile, clock, period), window)
        return cls(period=period, profile=tuple(map(tuple, np.round(profile, 5).tolist())), level=level)

    @property
    def metrics(self) -> int:
        """K."""
        return self.level.metrics

    def forecast(self, scaled: np.ndarray, clock: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`Smoothing.forecast`."""
        if not self.period:
            return self.level.forecast(scaled, clock, first)
        season = _at(np.array(self.profile), clock, self.period)
        ahead, support = self.level.forecast(scaled - season, clock, first)
        return ahead + season[first:], support


def _at(profile: np.ndarray, clock: np.ndarray, period: int) -> np.ndarray:
    """The profile ``[P, K]`` at each row ``[T, K]``."""
    return np.asarray(profile[(clock % period) * len(profile) // period])


def _profile(scaled: np.ndarray, clock: np.ndarray, period: int) -> np.ndarray:
    """The seasonal component ``[P, K]`` of each metric, with mean 0; all 0 where it has none worth the name."""
    from statsmodels.tsa.seasonal import STL

    bins = min(period, _MOST_BINS)
    phase = (clock % period) * bins // period
    at = clock // period * bins + phase
    at -= at[0]
    phases = (np.arange(at[-1] + 1) + phase[0]) % bins
    seen = ~np.isnan(scaled)
    value = np.where(seen, scaled, 0.0).astype(np.float64)
    profile = np.zeros((bins, scaled.shape[1]))
    for k in range(scaled.shape[1]):
        count = np.bincount(at, seen[:, k], len(phases))
        mean = np.bincount(at, value[:, k], len(phases)) / np.maximum(count, 1)
        per_phase = np.bincount(phases, count > 0, bins)
        usual = np.bincount(phases, np.where(count > 0, mean, 0.0), bins) / np.maximum(per_phase, 1)
        if not per_phase.all() or np.ptp(usual) == 0:
            continue
        filled = np.where(count > 0, mean, usual[phases])  # a gap is filled by what the other cycles have there
        parts = STL(filled, period=bins, robust=False, trend_jump=max(bins // 10, 1), low_pass_jump=max(bins // 10, 1))
        found = parts.fit()
        season = np.bincount(phases, found.seasonal, bins) / np.bincount(phases, minlength=bins)
        season -= season.mean()
        detrended = filled - found.trend
        cycles = len(phases) / bins
        left = float(np.var(detrended - season[phases])) * cycles / max(cycles - 1, 0.5)
        if left <= (1 - _LEAST_STRENGTH) * float(np.var(detrended)):
            profile[:, k] = season
    return profile
