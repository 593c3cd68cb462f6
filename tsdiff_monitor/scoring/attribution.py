"""Attribution: each metric's share of the evidence, of a row and of an event.

The evidence against metric k in row t is the square of its contribution c[t, k], its absolute residual in units of its
own mean residual on held-out normal rows (:class:`NormalResiduals`); OmniAnomaly (Su et al., KDD 2019, section 3.5)
ranks metrics by what they add to a row's anomaly score in the same way. Evidence adds up over the rows of an event::

    row    a[t, k] = c[t, k]^2 / sum_j c[t, j]^2
    event  a[k]    = sum_t c[t, k]^2 / sum_t sum_j c[t, j]^2

so a row weighs as much in its event as it has evidence: the peak decides, not the many rows of rise and decay around
it in which every metric looks alike (docs/model.md has the measurements). An event of one row has that row's shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["NormalResiduals", "attribute", "attribute_event"]

_FLOOR = 0.1


@dataclass(frozen=True)
class NormalResiduals:
    """Each metric's mean absolute residual on held-out normal rows, in standard deviations of the metric.

    At least 0.1, so that a metric the model reproduces exactly does not dominate by a rounding. Plain floats: it is
    kept in a model's card as it is.
    """

    mean: tuple[float, ...]

    @classmethod
    def fit(cls, residual: np.ndarray, *, unscaled: np.ndarray | None = None) -> Self:
        """Learn from ``residual[N, K]``, NaN = missing, either sign.

        1 for a metric without any residual, and for those of ``unscaled[K]``: metrics that were constant in the
        history have no deviation of their own to measure a residual by.
        """
        size = np.abs(residual)
        seen = ~np.isnan(size)
        mean = np.where(seen, size, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
        unknown = ~seen.any(0) if unscaled is None else ~seen.any(0) | unscaled
        return cls(tuple(np.where(unknown, 1.0, np.maximum(mean, _FLOOR)).tolist()))

    def contributions(self, residual: np.ndarray) -> np.ndarray:
        """Absolute residuals ``[T, K]`` in units of the mean normal one: about 1 where all is well, NaN = missing."""
        return np.asarray(np.abs(residual) / np.array(self.mean))


def attribute(contribution: np.ndarray) -> np.ndarray:
    """Each metric's share ``[T, K]`` of a row's evidence, float32, from ``contribution[T, K]`` (NaN = missing).

    Shares are >= 0 and sum to 1 per row; all are 0 in a row without evidence. Squared, so that what stands out does.
    """
    return _shares(_evidence(contribution, axis=1))


def attribute_event(contribution: np.ndarray) -> np.ndarray:
    """Each metric's share ``[K]`` of the evidence of all rows of an event, from ``contribution[T, K]`` (NaN = missing).

    Shares are >= 0 and sum to 1; all are 0 where there is no evidence. The order of the rows does not matter.
    """
    return _shares(_evidence(contribution, axis=None).sum(0))


def _evidence(contribution: np.ndarray, *, axis: int | None) -> np.ndarray:
    """Squares, in units of the largest square along ``axis``: no number, however large, overflows."""
    positive = np.maximum(np.nan_to_num(contribution, nan=0.0), 0.0)
    largest = np.broadcast_to(positive.max(axis, keepdims=True, initial=0.0), positive.shape)
    return np.asarray(np.divide(positive, largest, out=np.zeros_like(positive), where=largest > 0) ** 2)


def _shares(evidence: np.ndarray) -> np.ndarray:
    """``evidence[..., K]`` divided by its sum over the metrics; 0 where that is 0."""
    total = evidence.sum(-1, keepdims=True)
    return np.asarray(np.divide(evidence, total, out=np.zeros_like(evidence), where=total > 0), dtype=np.float32)
