from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.scoring.culprits import MinimalSet, Verdict, minimal_culprits, minimal_set
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import Expected, Scores

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
NAMES = "abcdef"


def _frame(values: np.ndarray, names: Sequence[str] | None = None) -> Frame:
    names = names or [f"m{k}" for k in range(values.shape[1])]
    return Frame(START, STEP, np.asarray(values, np.float32), tuple(Series(name) for name in names))


# --- the search -----------------------------------------------------------------------------------------------------


def _additive(evidence: Mapping[str, float], replaced: frozenset[str]) -> Verdict:
    left = {name: value for name, value in evidence.items() if name not in replaced}
    return Verdict(sum(left.values()), left)


EVIDENCE = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 3), min_size=1)


@given(EVIDENCE, st.integers(1, 5))
def test_no_member_can_be_spared(evidence: dict[str, float], limit: int) -> None:
    """A sufficient set brings the score to 1 or below, and without any one of its members it would not."""
    found = minimal_set(lambda replaced: _additive(evidence, replaced), limit=limit)
    assert found.before == sum(evidence.values())
    assert found.after == _additive(evidence, frozenset(found.names)).score
    assert found.sufficient == (found.after <= 1)
    assert len(found.names) <= limit
    if found.sufficient:
        for name in found.names:
            assert _additive(evidence, frozenset(found.names) - {name}).score > 1


@given(EVIDENCE, st.integers(1, 5))
def test_when_evidence_adds_up_no_smaller_set_exists(evidence: dict[str, float], limit: int) -> None:
    """Where every metric adds its own evidence, the greedy set is as small as any, and giving up is right."""
    found = minimal_set(lambda replaced: _additive(evidence, replaced), limit=limit)
    falling = sorted(evidence.values(), reverse=True)
    needed = next(n for n in range(len(falling) + 1) if _additive(evidence, _top(evidence, n)).score <= 1)
    assert found.sufficient == (needed <= limit)
    assert len(found.names) == min(needed, limit)


def _top(evidence: Mapping[str, float], count: int) -> frozenset[str]:
    return frozenset(sorted(evidence, key=lambda name: (-evidence[name], name))[:count])


@given(st.integers(0, 999), st.integers(1, 5))
def test_evaluations_are_bounded_whatever_the_scores(seed: int, limit: int) -> None:
    """Even scores without rhyme or reason cost a bounded number of evaluations, each set judged once."""
    rng = np.random.default_rng(seed)
    asked: list[frozenset[str]] = []

    def judge(replaced: frozenset[str]) -> Verdict:
        asked.append(replaced)
        return Verdict(float(rng.exponential(1.5)), {name: float(rng.random()) for name in NAMES})

    found = minimal_set(judge, limit=limit)
    assert found.evaluations == len(asked) == len(set(asked))
    assert len(asked) <= 1 + limit + limit * (limit + 1) // 2


def test_a_bystander_blamed_first_is_pruned() -> None:
    """A metric that only looked guilty while the culprit was there leaves the set again."""

    def judge(replaced: frozenset[str]) -> Verdict:
        if "culprit" in replaced:
            return Verdict(0.5, {"bystander": 1.0})
        return Verdict(5.0 - len(replaced), {"bystander": 0.6, "culprit": 0.4})

    found = minimal_set(judge, limit=3)
    assert found == MinimalSet(("culprit",), True, 5.0, 0.5, 4)


def test_nothing_is_to_blame_below_one() -> None:
    """Rows that raised no alarm have no culprits, and that takes one evaluation."""
    assert minimal_set(lambda _: Verdict(1.0, {"a": 1.0}), limit=5) == MinimalSet((), True, 1.0, 1.0, 1)


def test_metrics_without_attribution_are_never_named() -> None:
    """When nobody with a share is left to replace, the search gives up honestly."""
    found = minimal_set(lambda replaced: _additive({"a": 0.0, "b": 1.5}, replaced), limit=5)
    assert found.names == ("b",)
    assert minimal_set(lambda _: Verdict(2.0, {"a": 0.0}), limit=5) == MinimalSet((), False, 2.0, 2.0, 1)


def test_ties_are_broken_by_name() -> None:
    """Equal attributions give the same answer however the metrics are ordered."""
    found = [minimal_set(lambda r, n=names: _additive(dict.fromkeys(n, 0.6), r), limit=5) for names in ("cab", "bca")]  # type: ignore[misc]
    assert found[0] == found[1]
    assert found[0].names == ("a", "b")


# --- with a detector ------------------------------------------------------------------------------------------------


@dataclass
class Plain:
    """A detector whose metrics should be 0: the score is the mean of |value|, and it notes what it is asked."""

    window: int = 4
    asked: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: str = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Rows without a value have no score."""
        del mode, alarms_per_week, rules
        size = np.abs(frame.values[first:].astype(float))
        score = np.where(np.isnan(size).all(1), np.nan, np.nansum(size, 1) / size.shape[1])
        return Scores(frame.times[first:], frame.series, score, np.nan_to_num(size))

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        """Zero, give or take one."""
        self.asked.append((len(frame), tuple(names)))
        zero = np.zeros((len(frame.times[first:last]), len(names)))
        return Expected(frame.times[first:last], frame.select(names).series, zero, zero - 1, zero + 1)


def test_only_the_rows_asked_for_and_their_context_are_read() -> None:
    """Rows before the window and after the range change nothing, and the answer covers the range alone."""
    values = np.zeros((30, 3))
    values[10:13, 1] = 9
    values[13:, 2] = 99
    values[:5] = 99
    detector = Plain()
    culprits = minimal_culprits(detector, _frame(values), first=10, last=13)
    assert culprits.found == MinimalSet(("m1",), True, 3.0, 0.0, 2)
    assert culprits.expected is not None
    assert list(culprits.expected.times) == [START + i * STEP for i in (10, 11, 12)]
    assert (culprits.expected.yhat_lower == -1).all()
    assert {rows for rows, _ in detector.asked} == {7}


def test_a_gap_stays_a_gap() -> None:
    """Replacing a metric never fills in values that were missing: what was not seen is no counterfactual."""
    values = np.full((6, 2), np.nan)
    values[2, 0] = 9
    seen = []

    class Noting(Plain):
        def score(self, frame: Frame, **options: object) -> Scores:
            seen.append(np.isnan(frame.values).sum())
            return super().score(frame, **options)  # type: ignore[arg-type]

    assert minimal_culprits(Noting(), _frame(values), first=0).found.names == ("m0",)
    assert seen == [11, 11]


def test_too_small_a_limit_is_said_honestly() -> None:
    """When no set of the size allowed suffices, the best guess comes with the score it leaves."""
    culprits = minimal_culprits(Plain(), _frame(np.array([[9.0, 8.0, 7.0, 0.0]])), first=0, limit=2)
    assert culprits.found == MinimalSet(("m0", "m1"), False, 6.0, 1.75, 3)


def test_nothing_to_explain_is_an_error() -> None:
    """An empty range, rows without values and room for no metric are refused with the reason."""
    frame = _frame(np.full((4, 2), np.nan))
    with pytest.raises(DataError, match="no rows 4 to 4"):
        minimal_culprits(Plain(), frame, first=4)
    with pytest.raises(DataError, match="rows 1 to 4 have no score"):
        minimal_culprits(Plain(), frame, first=1)
    with pytest.raises(DataError, match="at least one metric, not 0"):
        minimal_culprits(Plain(), frame, first=0, limit=0)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Six metrics driven by three shared waves, with a little noise."""
    rng = np.random.default_rng(0)
    t = np.arange(2100)
    shared = np.stack([np.sin(t / 6), np.cos(t / 15), np.sin(t / 4)], 1)
    return np.asarray(10 + shared @ rng.normal(size=(3, 6)) + 0.1 * rng.normal(size=(len(t), 6)))


@pytest.fixture(scope="module")
def detector(values: np.ndarray) -> DiffusionDetector:
    config = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=250, samples=8)
    return DiffusionDetector.fit(_frame(values[:2000]), config)


@pytest.mark.parametrize("broken", [1, 4])
def test_one_broken_metric_is_the_culprit(detector: DiffusionDetector, values: np.ndarray, broken: int) -> None:
    """A metric that leaves the others is named alone, with the band it should have been in; order does not matter."""
    spoilt = values[2000:2060].copy()
    spoilt[50:53, broken] += 8 * values[:, broken].std()
    frame = _frame(spoilt)
    culprits = minimal_culprits(detector, frame, first=50, last=53)
    assert culprits.found.names == (f"m{broken}",)
    assert culprits.found.sufficient
    assert culprits.found.before > 1 >= culprits.found.after
    assert culprits.expected is not None
    truth, away = values[2050:2053, broken], spoilt[50:53, broken]
    assert (np.abs(culprits.expected.yhat[:, 0] - truth) < np.abs(culprits.expected.yhat[:, 0] - away)).all()
    assert (culprits.expected.yhat_lower <= culprits.expected.yhat).all()
    shuffled = frame.select([f"m{k}" for k in (3, 5, 1, 0, 4, 2)])
    assert minimal_culprits(detector, shuffled, first=50, last=53).found == culprits.found
