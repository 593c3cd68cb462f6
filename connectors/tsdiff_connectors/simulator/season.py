"""The regular part of the load: people's days and weeks, with mean 1, and its integral.

Having the integral in closed form (a table over one week) gives garbage collection and disk use a memory of how much
has been served so far, without stepping through the past.
"""

from __future__ import annotations

import numpy as np

from tsdiff_connectors.simulator.noise import DAY, HOUR, MINUTE

__all__ = ["PEAK", "season", "served"]

_WEEK = 7 * DAY
_MONDAY = 4 * DAY  # 1970-01-05, the first Monday after the epoch
_CELL = 5 * MINUTE
_WEEKEND_LOSS = 0.22


def _shape(hours: np.ndarray) -> np.ndarray:
    """Load at ``hours`` since Monday 00:00 UTC, not normalised: a broad afternoon peak, a quieter weekend."""
    daily = 1 + 0.42 * np.cos(2 * np.pi * (hours - 15) / 24) + 0.09 * np.cos(4 * np.pi * (hours - 12.5) / 24)
    from_friday_night = (hours - 117) % 168  # 117 h: Friday 21:00
    rise = np.clip(from_friday_night / 6, 0, 1)
    fall = np.clip((54 - from_friday_night) / 6, 0, 1)
    weekend = _smooth(rise) * _smooth(fall)
    return np.asarray(daily * (1 - _WEEKEND_LOSS * weekend))


def _smooth(x: np.ndarray) -> np.ndarray:
    return np.asarray(x * x * (3 - 2 * x))


_KNOTS = _shape(np.arange(_WEEK // _CELL + 1) * (_CELL / HOUR))
_TRAPEZES = (_KNOTS[1:] + _KNOTS[:-1]) / 2
_KNOTS = _KNOTS / _TRAPEZES.mean()
_SERVED = np.concatenate([[0.0], np.cumsum(_TRAPEZES / _TRAPEZES.mean())]) * (_CELL / DAY)

PEAK = float(_KNOTS.max())
"""The highest value of :func:`season`."""


def season(time_ms: np.ndarray) -> np.ndarray:
    """The load at ``time_ms``, relative to its mean."""
    cell, f = _position(time_ms)
    return np.asarray(_KNOTS[cell] * (1 - f) + _KNOTS[cell + 1] * f)


def served(time_ms: np.ndarray) -> np.ndarray:
    """The integral of :func:`season` since a fixed Monday, in mean days of load; it never falls."""
    cell, f = _position(time_ms)
    within = _SERVED[cell] + (_CELL / DAY) * f * (_KNOTS[cell] + (_KNOTS[cell + 1] - _KNOTS[cell]) * f / 2)
    return np.asarray(7.0 * ((time_ms - _MONDAY) // _WEEK) + within)


def _position(time_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    within = (time_ms - _MONDAY) % _WEEK
    cell = within // _CELL
    return cell, (within - cell * _CELL) / _CELL
