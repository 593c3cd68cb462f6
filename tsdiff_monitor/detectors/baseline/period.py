"""The period that a group's metrics share, found from their autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["dominant_period"]

_SHORTEST = 4
_LEAST_CORRELATION = 0.3
_TOLERANCE = 0.05
_CYCLES = 2
"""A period must have been seen this often to differ from a trend."""
_NEARLY = 0.9
"""A shorter lag with this share of the highest correlation is the period, of which the higher one is a multiple."""


def dominant_period(scaled: np.ndarray, natural: Sequence[int] = ()) -> int | None:
    """Rows of the period in ``scaled[T, K]`` (NaN = missing), or None where none shows.

    The autocorrelations of all metrics are averaged; the period is the first high peak after they have once fallen
    below half of what counts as high. One that is nearly a ``natural`` period (an hour, a day) is taken for that.
    """
    x = scaled.astype(np.float64)
    seen = ~np.isnan(x)
    centred = np.where(seen, x - np.where(seen, x, 0.0).sum(0) / np.maximum(seen.sum(0), 1), 0.0)
    power = (centred**2).sum(0)
    varied = power > 0
    longest = len(x) // _CYCLES
    if longest <= _SHORTEST or not varied.any():
        return None
    size = 1 << (2 * len(x) - 1).bit_length()
    # Normalised by the pairs observed at each lag: gaps and the series' ends must not pass for missing correlation.
    products = _autocorrelation(centred[:, varied], size)[: longest + 1]
    pairs = _autocorrelation(seen[:, varied].astype(np.float64), size)[: longest + 1]
    mean_power = power[varied] / np.maximum(seen[:, varied].sum(0), 1)
    rho = (products / np.maximum(pairs, 1.0) / mean_power).mean(1)
    low = np.flatnonzero(rho < _LEAST_CORRELATION / 2)
    if not low.size:
        return None
    peaks = np.flatnonzero((rho[1:-1] >= rho[:-2]) & (rho[1:-1] > rho[2:])) + 1
    peaks = peaks[(peaks > max(low[0], _SHORTEST - 1)) & (rho[peaks] >= _LEAST_CORRELATION)]
    if not peaks.size:
        return None
    first = peaks[rho[peaks] >= _NEARLY * rho[peaks].max()][0]
    near = peaks[peaks < first * 1.5]  # noise makes small peaks on the way up to the true one
    period = float(near[np.argmax(rho[near])])
    for cycles in range(2, int(longest / period) + 1):  # the same error in a longer lag is a smaller one in the period
        begin, end = round((cycles - 0.25) * period), round((cycles + 0.25) * period)
        lags = np.arange(begin, min(end, longest) + 1)
        lag = lags[np.argmax(rho[lags])]
        if rho[lag] < _LEAST_CORRELATION:
            break
        period = lag / cycles
    nearest = min(natural, key=lambda rows: abs(rows - period), default=0)
    return nearest if abs(nearest - period) <= _TOLERANCE * period and nearest >= _SHORTEST else round(period)


def _autocorrelation(x: np.ndarray, size: int) -> np.ndarray:
    """Sums of products at every lag ``[size, K]``, by the FFT (Wiener-Khinchin)."""
    spectrum = np.fft.rfft(x, size, axis=0)
    return np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)
