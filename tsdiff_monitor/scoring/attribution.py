"""Attribution: each metric's share of a row's score."""

from __future__ import annotations

import numpy as np

__all__ = ["attribute"]


def attribute(contribution: np.ndarray) -> np.ndarray:
    """Shares ``[T, K]`` of ``contribution[T, K]`` (NaN = missing): >= 0, summing to 1 per row; zero for empty rows."""
    evidence = np.maximum(np.nan_to_num(contribution, nan=0.0), 0.0)
    total = evidence.sum(1, keepdims=True)
    return np.asarray(np.divide(evidence, total, out=np.zeros_like(evidence), where=total > 0), dtype=np.float32)
