from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.scoring.calibration import Calibration, confirmed_level

MINUTE, WEEK_ROWS = 60.0, 7 * 24 * 60


def _scores(rows: int, rng: np.random.Generator, *, correlation: float, runs: int = 1) -> np.ndarray:
    """Mean of squared heavy-tailed residuals of 5 metrics, as the detector's raw score; AR(1) in time; [runs, rows]."""
    noise = rng.standard_t(6, size=(rows, runs, 5)) * math.sqrt(1 - correlation**2)
    x = noise[0] / math.sqrt(1 - correlation**2)
    out = np.empty((rows, runs))
    for t in range(rows):
        x = correlation * x + noise[t]
        out[t] = (x**2).mean(1)
    return out.T


def _events(confirmed: np.ndarray, quiet_rows: int = 10) -> int:
    """How many events rows of confirmed exceedance make, when an event ends after some quiet rows."""
    at = np.flatnonzero(confirmed)
    return int(at.size > 0) + int((np.diff(at) > quiet_rows).sum())


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("confirm_rows", [1, 2])
def test_realised_alarm_rate_is_near_the_promise(correlation: float, confirm_rows: int) -> None:
    """Held out rows of two weeks give a rate of false events near the one promised, rather fewer than more."""
    promise, weeks, runs = 2.0, 6, 8
    rng = np.random.default_rng(0)
    held_out = _scores(1008, rng, correlation=correlation, runs=4 * runs)
    normal = _scores(weeks * WEEK_ROWS, rng, correlation=correlation, runs=runs)
    events = 0
    for run in range(runs):
        stretches = list(held_out[4 * run : 4 * run + 4])
        threshold = Calibration.fit(stretches, confirm_rows=confirm_rows).threshold(promise, MINUTE)
        events += _events(confirmed_level(normal[run], confirm_rows) > threshold)
    assert promise / 4 < events / (weeks * runs) < promise * 2


def test_threshold_falls_with_the_alarm_rate() -> None:
    """Who allows more false alarms gets a lower threshold, at any rate however high."""
    calibration = Calibration(location=0.5, spread=0.2, block_rows=60, blocks=60)
    rates = [0.01, 0.1, 1.0, 7.0, 70.0, 1e4]
    thresholds = [calibration.threshold(rate, MINUTE) for rate in rates]
    assert thresholds[:-1] == sorted(thresholds[:-1], reverse=True)
    assert thresholds[-1] <= thresholds[-2]
    assert all(level > 0 for level in thresholds)


def test_threshold_is_the_block_quantile() -> None:
    """With many blocks a week's allowance is the quantile of the Gumbel law that a block exceeds so often."""
    calibration = Calibration(location=0.0, spread=1.0, block_rows=60, blocks=10**9)
    p = 1 / 168
    assert math.exp(-math.exp(-math.log(calibration.threshold(1.0, MINUTE)))) == pytest.approx(1 - p, rel=1e-6)


def test_few_blocks_ask_for_a_higher_threshold() -> None:
    """The less is known of normal scores, the more it takes to raise an alarm."""
    thresholds = [Calibration(0.0, 0.3, 60, blocks).threshold(1.0, MINUTE) for blocks in (4, 16, 64, 1024)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]


def test_calibration_without_scores_is_reluctant() -> None:
    """Nothing known of normal scores, or only missing ones, gives a threshold far above a normal score of 1."""
    for stretches in ([], [np.full(100, np.nan)], [np.zeros(0)]):
        calibration = Calibration.fit(stretches, confirm_rows=2)
        assert calibration.blocks == 0
        assert calibration.threshold(1.0, MINUTE) > 10


def test_constant_scores_calibrate() -> None:
    """Scores without any spread still give a finite threshold, above them."""
    threshold = Calibration.fit([np.full(2000, 0.7)], confirm_rows=2).threshold(1.0, MINUTE)
    assert 0.7 < threshold < 0.8


def test_gaps_do_not_calibrate() -> None:
    """Rows without a score change the blocks they lie in only: no alarm could have been raised there."""
    scores = _scores(4000, np.random.default_rng(0), correlation=0.5)[0]
    gappy = scores.copy()
    gappy[600:1200] = np.nan
    whole, partial = (Calibration.fit([s], confirm_rows=2) for s in (scores, gappy))
    assert whole.blocks - 10 <= partial.blocks < whole.blocks
    assert partial.threshold(1.0, MINUTE) == pytest.approx(whole.threshold(1.0, MINUTE), rel=0.25)


@given(st.lists(st.floats(0, 10) | st.just(math.nan), max_size=25), st.integers(1, 5))
def test_confirmed_level_is_the_highest_confirming_threshold(scores: list[float], confirm_rows: int) -> None:
    """It equals brute force: just below it an event is confirmed at the row, at it or above none is."""
    score = np.array(scores, dtype=float)
    level = confirmed_level(score, confirm_rows)
    for t in range(len(score)):
        recent = score[max(t - confirm_rows, 0) : t + 1]
        candidates = [x for x in recent if not math.isnan(x) and (recent >= x).sum() >= confirm_rows]
        assert level[t] == max(candidates, default=-math.inf)
