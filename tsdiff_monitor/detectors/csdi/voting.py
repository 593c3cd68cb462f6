"""Votes over denoising steps: ImDiffusion (Chen et al., VLDB 2024), section 4.5.

The imputations of several late denoising steps are judged, each by a threshold of its own: that of the last step times
the ratio of the two steps' errors. A row is anomalous when enough steps say so.
"""

from __future__ import annotations

import numpy as np

__all__ = ["step_ratios", "votes", "voting_steps"]


def voting_steps(steps: int, *, count: int, every: int) -> tuple[int, ...]:
    """The denoising steps that vote, by the number of steps still to go: 0 (the last one), ``every``, 2 ``every``, …"""
    return tuple(range(0, steps, every))[:count]


def step_ratios(errors: np.ndarray) -> np.ndarray:
    """Each voting step's total error over the last step's ``[V]``, of ``errors[V, ...]`` (NaN = no error known).

    The first of the V is the last step. Ratios are > 0: a step without any error is judged like the last one.
    """
    total = np.nansum(errors.reshape(len(errors), -1), 1)
    return np.where((total > 0) & (total[0] > 0), total / (total[0] or 1.0), 1.0)


def votes(errors: np.ndarray, ratios: np.ndarray, threshold: float) -> np.ndarray:
    """Number of steps that call each row anomalous ``[T]``.

    They are those whose ``errors[V, T]`` reach ``threshold`` x ``ratios[V]``. A row without an error (NaN) gets no
    vote.
    """
    return np.asarray((errors >= threshold * ratios[:, None]).sum(0))
