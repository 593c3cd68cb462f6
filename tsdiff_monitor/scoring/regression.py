"""Expected values of some metrics given the others of the same row, from their correlation in the history.

The conditional of a normal law (Bishop, "Pattern Recognition and Machine Learning", 2006, equations 2.81 and 2.82).
With C the second moments of the scaled history plus λ on the diagonal (ridge), hidden metrics h and those given g::

    mean      C_hg C_gg⁻¹ z_g
    variance  diag(C_hh − C_hg C_gg⁻¹ C_gh)

The band is the mean plus the quantiles of held-out residuals, each in units of the deviation that the law gives it:
tails are those of the data, and the band widens with the metrics that are not given. It is used where the network
cannot answer: one shared by many groups knows no metric but by its own values, and these are hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["Regression"]

_RIDGE = 0.02
_LARGE = 30.0
"""Deviations at which values are held here: single excursions must not decide how metrics go together."""
_ROWS = 20_000
"""Rows of the history that are used at most, evenly spaced."""


@dataclass(frozen=True, eq=False)
class Regression:
    """``moments`` ``[K, K]``; ``quantiles`` ``[3, K]``: middle, lower and upper standardised residual. Both float32."""

    moments: np.ndarray
    quantiles: np.ndarray

    @classmethod
    def fit(cls, scaled: np.ndarray, held_out: tuple[tuple[int, int], ...], *, band: float) -> Self:
        """Learn from ``scaled[T, K]`` (NaN = missing); the quantiles, of a ``band``, from the held-out rows.

        The moments come from the other rows, unless the held-out ones are all there are.
        """
        T, K = scaled.shape
        own = np.ones(T, dtype=bool)
        for a, b in held_out:
            own[a:b] = False
        z = _held(_some(scaled[own if own.any() else ~own]))
        moments = (z.T @ z) / max(len(z), 1) + _RIDGE * np.eye(K)  # a missing cell is taken as average
        # The residual of each metric given all the others, at once: (P z)_k / P_kk, with variance 1 / P_kk.
        precision = np.linalg.inv(moments)
        test = _some(np.concatenate([scaled[a:b] for a, b in held_out]))
        standard = (_held(test) @ precision) / np.sqrt(np.diag(precision))
        levels = np.array([0.5, (1 - band) / 2, (1 + band) / 2])
        quantiles = np.zeros((3, K))
        for k in range(K):
            seen = ~np.isnan(test[:, k])
            if seen.any():
                quantiles[:, k] = np.quantile(standard[seen, k], levels)
        return cls(moments.astype(np.float32), quantiles.astype(np.float32))

    def expected(self, scaled: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middle, lower and upper quantile ``[T, K]`` of the ``hidden[K]`` metrics, NaN for the others."""
        given = ~np.isnan(scaled) & ~hidden
        out = np.full((3, *scaled.shape), np.nan)
        moments, values = self.moments.astype(np.float64), _held(scaled)
        patterns, which = np.unique(given, axis=0, return_inverse=True)
        for number, g in enumerate(patterns):  # rows with the same metrics given share their weights
            rows = np.flatnonzero(which.reshape(-1) == number)
            weights = np.linalg.solve(moments[np.ix_(g, g)], moments[np.ix_(g, hidden)])
            variance = np.diag(moments)[hidden] - (moments[np.ix_(g, hidden)] * weights).sum(0)
            spread = np.sqrt(np.maximum(variance, 0.0)) * self.quantiles[:, None, hidden]
            out[:, rows[:, None], np.flatnonzero(hidden)] = values[np.ix_(rows, g)] @ weights + spread
        return out[0], out[1], out[2]


def _held(rows: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(rows.astype(np.float64)), -_LARGE, _LARGE)


def _some(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= _ROWS:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, _ROWS).astype(int)])
