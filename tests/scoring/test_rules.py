from __future__ import annotations

import numpy as np
import pandas as pd

from tsdiff_monitor.scoring.rules import IMPOSSIBLE, Rule, disregarded, flagged, outside
from tsdiff_monitor.timeseries.frame import Series
from tsdiff_monitor.timeseries.scores import Scores


def _one(rule: Rule, actual: float, expected: float) -> bool:
    return bool(disregarded([rule], np.array([[actual]]), np.array([[expected]]))[0, 0])


def test_direction() -> None:
    """Only deviations in the direction asked for count."""
    assert not _one(Rule("above_expected"), 2, 1)
    assert _one(Rule("above_expected"), 0, 1)
    assert not _one(Rule("below_expected"), 0, 1)
    assert _one(Rule("below_expected"), 2, 1)
    assert not _one(Rule("both"), 0, 1)
    assert not _one(Rule("both"), 2, 1)


def test_least_deviation_in_own_units() -> None:
    """Deviations smaller than the least one do not count; one as large does."""
    rule = Rule(min_dev=0.5)
    assert _one(rule, 1.4, 1)
    assert _one(rule, 0.6, 1)
    assert not _one(rule, 1.5, 1)
    assert not _one(rule, 0.5, 1)


def test_least_deviation_relative_to_expected() -> None:
    """The relative least deviation is a share of the expected value's size, of either sign."""
    rule = Rule(min_rel_dev=0.1)
    for expected in (100.0, -100.0):
        assert _one(rule, expected + 9, expected)
        assert not _one(rule, expected + 11, expected)
    assert _one(Rule(min_dev=20, min_rel_dev=0.1), 111, 100)  # both must be exceeded


def test_rules_apply_to_their_own_column() -> None:
    """One metric's rule does not touch another's."""
    out = disregarded([Rule("above_expected"), Rule()], np.zeros((1, 2)), np.ones((1, 2)))
    assert out.tolist() == [[True, False]]


def test_missing_values_are_not_disregarded() -> None:
    """A missing cell is left to the score, which counts it as normal: no rule makes it evidence of health."""
    out = disregarded([Rule("above_expected", 1, 0.1)], np.array([[np.nan]]), np.array([[np.nan]]))
    assert not out.any()


def test_only_values_beyond_their_own_range_are_outside() -> None:
    """The ends of a range are right, a missing value says nothing, and a series without a range cannot be wrong."""
    values = np.array([[0.0, 9.0], [1.0, -9.0], [-0.1, 0.0], [1.1, 0.0], [np.nan, np.nan]])
    assert outside([(0, 1), None], values).tolist() == [
        [False, False],
        [False, False],
        [True, False],
        [True, False],
        [False, False],
    ]


def test_impossible_values_make_a_row_anomalous_and_bear_the_blame() -> None:
    """A row that looked normal becomes anomalous, to blame on the wrong cells; an anomalous one keeps its own say."""
    times = pd.date_range("2024-05-01", periods=3, freq="min", tz="UTC")
    share = np.array([[0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    scores = Scores(times, (Series("a"), Series("b")), np.array([0.3, 7.0, 0.3]), share)
    marked = flagged(scores, np.array([[True, False], [True, False], [False, False]]))
    assert marked.score.tolist() == [IMPOSSIBLE, 7.0, 0.3]
    assert marked.attribution.tolist() == [[1.0, 0.0], [0.2, 0.8], [0.2, 0.8]]
    assert scores.score.tolist() == [0.3, 7.0, 0.3]
