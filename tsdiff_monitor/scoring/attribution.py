"""Attribution: each metric's share of a row's score."""

from __future__ import annotations

import numpy as np

__all__ = ["attribute"]


def attribute(contribution: np.ndarray) -> np.ndarray:
    """Each metric's share ``[T, K]`` of the squares of ``contribution[T, K]`` (NaN = missing).

    Shares are >= 0 and sum to 1 per row; all are 0 in a row without evidence. Squared, so that what stands out does.
    """
    evidence = np.maximum(np.nan_to_num(contribution, nan=0.0), 0.0)
    largest = evidence.max(1, keepdims=True, initial=0.0)
    evidence = np.divide(evidence, largest, out=np.zeros_like(evidence), where=largest > 0) ** 2
    total = evidence.sum(1, keepdims=True)
    return np.asarray(np.divide(evidence, total, out=np.zeros_like(evidence), where=total > 0), dtype=np.float32)
