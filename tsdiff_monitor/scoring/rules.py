"""Rules: deviations that the user does not care about are no evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Direction", "Rule", "disregarded"]

Direction = Literal["both", "above_expected", "below_expected"]


@dataclass(frozen=True)
class Rule:
    """Which deviations of a series count: their direction, and their least size, absolute and relative to expected."""

    direction: Direction = "both"
    min_dev: float = 0.0
    min_rel_dev: float = 0.0

    @property
    def trivial(self) -> bool:
        """Whether every deviation counts."""
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
