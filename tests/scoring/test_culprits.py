"""The smallest set of metrics that explains an alarm: the search, and the world in which they were as expected."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.scoring.culprits import SmallestSet, as_expected, most_sets, smallest_set
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import Expected

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
NAMES = "abcde"


def _left(evidence: Mapping[str, float], replaced: Collection[str]) -> float:
    return sum(value for name, value in evidence.items() if name not in replaced)


EVIDENCE = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 3), min_size=1)


@given(EVIDENCE, st.integers(1, 5))
def test_no_smaller_set_suffices(evidence: dict[str, float], limit: int) -> None:
    """If every metric adds its own evidence, the set is as small as any, and giving up is right."""
    suspects = sorted(evidence, key=lambda name: (-evidence[name], name))
    found = smallest_set(lambda names: _left(evidence, names), suspects, limit=limit)
    needed = next(n for n in range(len(suspects) + 1) if _left(evidence, suspects[:n]) <= 1)
    assert (found is None) == (max(needed, 1) > limit)
    if found is not None:
        assert len(found.names) == max(needed, 1)
        assert found.score == _left(evidence, found.names) <= 1
        assert list(found.names) == sorted(found.names, key=suspects.index)


@given(st.integers(0, 999), st.integers(1, 5), st.integers(1, 4))
def test_work_is_bounded_for_any_scores(seed: int, suspects: int, limit: int) -> None:
    """Even scores without rhyme or reason cost a bounded number of evaluations, each set scored once."""
    rng = np.random.default_rng(seed)
    asked: list[frozenset[str]] = []

    def score(names: Collection[str]) -> float:
        asked.append(frozenset(names))
        return 0.5 if len(names) == suspects > 1 else float(rng.exponential(5.0))

    found = smallest_set(score, NAMES[:suspects], limit=limit)
    assert len(asked) == len(set(asked)) <= most_sets(suspects, limit)
    assert found is None or found.score <= 1


def test_a_bystander_that_looks_worse_is_not_named() -> None:
    """A metric that comes first among the suspects is left out where another one alone explains it."""

    def score(names: Collection[str]) -> float:
        return 0.5 if "culprit" in names else 5.0 - len(names)

    assert smallest_set(score, ["bystander", "culprit"], limit=3) == SmallestSet(("culprit",), 0.5)


def test_when_all_together_do_not_suffice_no_more_is_tried() -> None:
    """A score that stays high with every suspect replaced costs one evaluation."""
    asked: list[Collection[str]] = []

    def score(names: Collection[str]) -> float:
        asked.append(names)
        return 2.0

    assert smallest_set(score, NAMES, limit=3) is None
    assert asked == [tuple(NAMES)]


def test_no_score_and_no_suspects_explain_nothing() -> None:
    """A world without a score is not one without an alarm."""
    assert smallest_set(lambda _: float("nan"), "ab", limit=3) is None
    assert smallest_set(lambda _: float("nan"), "a", limit=3) is None
    assert smallest_set(lambda _: 0.0, "", limit=3) is None


def test_what_suffices_can_be_asked_for() -> None:
    """``enough`` says how low the score has to be."""
    evidence = {"a": 2.0, "b": 1.0, "c": 0.5}
    assert smallest_set(lambda names: _left(evidence, names), "abc", limit=3, enough=0.5) == SmallestSet(
        ("a", "b"), 0.5
    )


def test_a_gap_stays_a_gap() -> None:
    """Only values that were there are replaced, in the rows asked for and the metrics named, and only by numbers."""
    values = np.array([[1, 10, 100], [2, np.nan, 200], [3, 30, 300], [4, 40, np.nan]], np.float32)
    frame = Frame(START, STEP, values, tuple(Series(name) for name in "abc"))
    yhat = np.array([[-20, -2], [np.nan, -3], [-40, -4]])
    expected = Expected(frame.times[1:], (Series("b"), Series("a")), yhat, yhat - 1, yhat + 1)
    both = as_expected(frame, expected, ("a", "b"), first=1)
    np.testing.assert_array_equal(both.values, [[1, 10, 100], [-2, np.nan, 200], [-3, 30, 300], [-4, -40, np.nan]])
    one = as_expected(frame, expected, ("a",), first=1)
    np.testing.assert_array_equal(one.values[:, 1:], values[:, 1:])
    np.testing.assert_array_equal(one.values[:, 0], both.values[:, 0])
