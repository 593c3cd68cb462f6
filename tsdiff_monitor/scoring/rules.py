"""Rules: deviations that the user does not care about are no evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["Direction", "Range", "Rule", "discounted", "disregarded", "flagged", "outside", "unjudged"]

Range = tuple[float, float]
"""Lowest and highest value that can be right, in the series' own unit."""

IMPOSSIBLE = 1.01
"""Least score of a row with a value that cannot be right: an anomaly, and no more can be said of its size."""

Direction = Literal["both", "above_expected", "below_expected"]


@dataclass(frozen=True)
class Rule:
    """Deviations of a series that count: their direction, and their least size, absolute and relative to expected."""

    direction: Direction = "both"
    min_dev: float = 0.0
    min_rel_dev: float = 0.0

    @property
    def trivial(self) -> bool:
        """True where every deviation counts."""
        return self == Rule()


def disregarded(rules: list[Rule], actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Boolean ``[T, K]``: cells whose deviation of ``actual`` from ``expected`` (own units) does not count."""
    deviation = actual - expected
    out = np.zeros(actual.shape, dtype=bool)
    for k, rule in enumerate(rules):
        if rule.direction == "above_expected":
            out[:, k] |= deviation[:, k] <= 0
        elif rule.direction == "below_expected":
            out[:, k] |= deviation[:, k] >= 0
        least = np.maximum(rule.min_dev, rule.min_rel_dev * np.abs(expected[:, k]))
        out[:, k] |= np.abs(deviation[:, k]) < least
    return out


def discounted(
    contribution: np.ndarray, ignored: np.ndarray, normal: float | np.ndarray = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Contributions ``[T, K]`` to a score, and to blame, without the ``ignored`` cells (boolean ``[T, K]``).

    An ignored cell counts as one of normal data, ``normal`` (``[K]``, or the same for all), at most, and has no blame.
    """
    counted = np.where(ignored, np.minimum(contribution, normal), contribution)
    return counted, np.where(ignored, 0.0, contribution)


def outside(ranges: Sequence[Range | None], values: np.ndarray) -> np.ndarray:
    """Boolean ``[T, K]``: values that lie outside the range of their series; missing ones do not."""
    low, high = (np.array([np.nan if one is None else one[side] for one in ranges]) for side in (0, 1))
    return (values < low) | (values > high)


def flagged(scores: Scores, wrong: np.ndarray) -> Scores:
    """The scores with every row that holds a ``wrong`` cell (boolean ``[T, K]``) anomalous, to blame on such cells.

    A row that is anomalous already keeps its score and attribution.
    """
    forced = wrong.any(1) & ~(scores.score > 1)
    if not forced.any():
        return scores
    score, attribution = scores.score.copy(), scores.attribution.copy()
    score[forced] = IMPOSSIBLE
    attribution[forced] = wrong[forced] / wrong[forced].sum(1, keepdims=True)
    return replace(scores, score=score, attribution=attribution)


def unjudged(scores: Scores, rows: np.ndarray) -> Scores:
    """The scores without a verdict in ``rows`` (boolean ``[T]``)."""
    if not rows.any():
        return scores
    score, attribution = scores.score.copy(), scores.attribution.copy()
    score[rows], attribution[rows] = np.nan, 0.0
    return replace(scores, score=score, attribution=attribution)
