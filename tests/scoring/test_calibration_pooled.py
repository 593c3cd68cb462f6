"""Thresholds that many groups have together: counted events, not opinions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.scoring.calibration import confirmed_level
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration

DAY = 86_400.0
WEEK_ROWS = 7

Stretch = tuple[np.ndarray, int]


def openings(score: np.ndarray, first: int, threshold: float, confirm_rows: int, quiet_rows: int) -> int:
    """By brute force: how many events a threshold opens from row ``first`` on."""
    high = confirmed_level(score, confirm_rows) > threshold
    return sum(bool(high[t] and not high[max(t - quiet_rows, 0) : t].any()) for t in range(first, len(high)))


def normal(groups: int, rows: int, seed: int = 0) -> list[Stretch]:
    """Heavy-tailed scores of many groups, of which the last quarter counts."""
    rng = np.random.default_rng(seed)
    return [(rng.lognormal(0, 0.4, rows), rows * 3 // 4) for _ in range(groups)]


def fitted(stretches: list[Stretch], *, confirm_rows: int = 1, quiet_rows: int = 5) -> PooledCalibration:
    calibration = PooledCalibration.fit(stretches, confirm_rows=confirm_rows, quiet_rows=quiet_rows)
    assert calibration is not None
    return calibration


@pytest.mark.parametrize("allowed", [0.01, 0.05, 0.3])
def test_new_rows_open_as_many_events_as_allowed(allowed: float) -> None:
    """On rows that nothing was learned from, all groups together have nearly as many events as they may have."""
    threshold = fitted(normal(1000, 56)).threshold(allowed, DAY)
    new = normal(1000, 84, seed=1)
    weeks = sum(len(score) for score, _ in new) / WEEK_ROWS
    events = sum(openings(score, 0, threshold, 1, 5) for score, _ in new)
    assert 0.6 < events / weeks / allowed < 1.5


def test_a_rate_beyond_the_rehearsal_is_extrapolated() -> None:
    """A threshold for one event in a hundred times as long as was rehearsed holds on so much data, within its law."""
    calibration = fitted(normal(300, 56))
    allowed = 0.001  # one event of all groups in three weeks; two were rehearsed
    threshold = calibration.threshold(allowed, DAY)
    scores = np.random.default_rng(1).lognormal(0, 0.4, 3_000_000)
    per_week = (scores > threshold).mean() * WEEK_ROWS
    assert allowed / 10 < per_week < allowed * 3


@given(
    st.lists(st.lists(st.floats(0.1, 50) | st.just(math.nan), min_size=8, max_size=30), min_size=3, max_size=8),
    st.integers(1, 3),
    st.integers(1, 6),
    st.floats(0.02, 3),
)
def test_no_threshold_opens_more_than_allowed(
    scores: list[list[float]], confirm_rows: int, quiet_rows: int, allowed: float
) -> None:
    """For any scores: where events were counted, a threshold opens no more in the rehearsal than it may."""
    stretches = [(np.array(score), len(score) // 2) for score in scores]
    calibration = PooledCalibration.fit(stretches, confirm_rows=confirm_rows, quiet_rows=quiet_rows)
    if calibration is None or allowed / WEEK_ROWS < calibration.rates[-1]:
        return
    threshold = calibration.threshold(allowed, DAY)
    events = sum(openings(score, first, threshold, confirm_rows, quiet_rows) for score, first in stretches)
    weeks = sum(len(score) - first for score, first in stretches) / WEEK_ROWS
    assert events <= allowed * weeks + 1e-6


def test_an_incident_is_one_event_however_long() -> None:
    """Incidents in the history take from the allowance what they are, one event each, and no more."""
    stretches = normal(500, 56)
    allowed = 60 / (500 * 2)  # 60 events in the two weeks of rehearsal
    clean = fitted(stretches).threshold(allowed, DAY)
    spoilt = [(score.copy(), first) for score, first in stretches]
    for score, first in spoilt[:20]:
        score[first + 2 :] = 100.0
    assert clean < fitted(spoilt).threshold(allowed, DAY) < 1.3 * clean


def test_what_is_under_way_before_does_not_count() -> None:
    """An event that began before the rehearsal is none of its events: the threshold is not higher for it."""
    stretches = normal(500, 56)
    spoilt = [(score.copy(), first) for score, first in stretches]
    for score, first in spoilt[:60]:
        score[first - 10 :] = 100.0
    clean, other = (fitted(some).threshold(0.05, DAY) for some in (stretches, spoilt))
    assert other == pytest.approx(clean, rel=0.1)


def test_scores_that_come_in_jumps_are_distinguished() -> None:
    """The threshold lies well between a score that is too frequent and the next one, not on the edge of either."""
    rng = np.random.default_rng(0)
    stretches = []
    for _ in range(1000):
        score = np.full(56, 0.3)
        score[rng.random(56) < 0.01] = 2.0
        score[rng.random(56) < 0.0005] = 3.0
        stretches.append((score, 42))
    threshold = fitted(stretches).threshold(10 / 1000, DAY)  # twos open some 70 events a week, threes some 3
    assert 2.2 < threshold < 2.8


def test_threshold_falls_with_the_alarm_rate() -> None:
    """More events allowed give a lower threshold, within the rehearsal and beyond it, at any rate."""
    calibration = fitted(normal(200, 56))
    levels = [calibration.threshold(rate, DAY) for rate in np.geomspace(1e-12, 1e4, 60)]
    assert levels == sorted(levels, reverse=True)
    assert all(0 < level < math.inf for level in levels)


def test_fewer_events_ask_for_a_higher_threshold() -> None:
    """Beyond what was rehearsed, little knowledge gives the wide answer: the same tail known from fewer events."""
    wide, narrow = (PooledCalibration((2.0,), (1e-3,), 0.2, events, 100, 1) for events in (3, 10))
    assert wide.threshold(1e-5, DAY) > narrow.threshold(1e-5, DAY) > 2.0


@pytest.mark.parametrize("scores", [[], [np.full(50, np.nan)], [np.zeros(50)], [np.zeros(0)]])
def test_nothing_is_learned_from_nothing(scores: list[np.ndarray]) -> None:
    """No groups, none with a score, or none above 0: there is no calibration, rather than a made-up one."""
    assert PooledCalibration.fit([(s, 0) for s in scores], confirm_rows=1, quiet_rows=5) is None


def test_a_calibration_is_small() -> None:
    """Every group's card holds it: the curve has a bounded number of points, however many events there were."""
    calibration = fitted(normal(2000, 224))
    assert len(calibration.levels) == len(calibration.rates) <= 64
    assert list(calibration.levels) == sorted(calibration.levels)
    assert list(calibration.rates) == sorted(calibration.rates, reverse=True)
