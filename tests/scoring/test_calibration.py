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
    """Number of events that rows of confirmed exceedance make, when an event ends after some quiet rows."""
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
    """More false alarms allowed give a lower threshold, at any rate however high."""
    calibration = Calibration(level=0.5, rate=1 / 500, spread=0.2)
    thresholds = [calibration.threshold(rate, MINUTE) for rate in (0.01, 0.1, 1.0, 7.0, 70.0, 1e4)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == len(thresholds)
    assert all(level > 0 for level in thresholds)


def test_threshold_is_where_episodes_are_as_rare_as_allowed() -> None:
    """Episodes become e times rarer per spread: the threshold lies as far above the level as it takes, in any step."""
    calibration = Calibration(level=0.0, rate=1 / 500, spread=0.3)
    for step in (MINUTE, 60 * MINUTE):
        weekly = 7 * 86_400 / step / 500
        assert calibration.threshold(weekly, step) == pytest.approx(1.0)
        assert calibration.threshold(weekly / math.e**2, step) == pytest.approx(math.exp(2 * 0.3))


@pytest.mark.parametrize("rows", [30, 60, 120, 480, 1000])
def test_short_histories_raise_few_alarms(rows: int) -> None:
    """From half an hour to most of a day held out, mostly no more events than allowed, and never many times as many."""
    rng = np.random.default_rng(5)
    weeks, runs = 3, 30
    normal = confirmed_level(_scores(weeks * WEEK_ROWS, rng, correlation=0.6)[0], 2)
    held_out = _scores(rows, rng, correlation=0.6, runs=runs)
    thresholds = [Calibration.fit([one], confirm_rows=2).threshold(1.0, MINUTE) for one in held_out]
    realised = [_events(normal > threshold) / weeks for threshold in thresholds]
    assert np.median(realised) <= 1.2
    assert np.mean(realised) < 2.5


@pytest.mark.parametrize("height", [3.0, 1000.0])
def test_incidents_in_the_history_do_not_blind(height: float) -> None:
    """Scores of incidents, however high, in a tenth of the blocks raise the threshold by two thirds at most."""
    scores = _scores(10_000, np.random.default_rng(3), correlation=0.5)[0]
    marred = scores.copy()
    for at in range(300, 10_000, 600):
        marred[at : at + 8] *= height
    clean, other = (Calibration.fit([s], confirm_rows=2).threshold(1.0, MINUTE) for s in (scores, marred))
    assert clean < other < clean * 5 / 3


def test_rare_bursts_of_a_still_metric_are_expected() -> None:
    """Scores that are the same nearly always, with a burst a day, keep a threshold that most bursts stay below."""
    rng = np.random.default_rng(1)
    scores = np.full(14 * 1440, 0.5)
    peaks = rng.lognormal(1.0, 0.4, 28 * 14)
    for k, at in enumerate(range(720, len(scores), 1440)):
        scores[at : at + 3] = peaks[k]
    threshold = Calibration.fit([scores], confirm_rows=2).threshold(1.0, MINUTE)
    assert np.mean(peaks[:14] > threshold) < 0.5


def test_scores_that_are_followed_say_where_ordinary_rows_lie() -> None:
    """With the step of the rows the calibration knows an ordinary score; slow waves do not raise the threshold."""
    rng = np.random.default_rng(2)
    still = _scores(8 * 1440, rng, correlation=0.0)[0]
    waves = still * np.exp(np.sin(np.arange(len(still)) / 1440 * 2 * np.pi / 4))  # a rise that takes days
    as_they_are, relative = (Calibration.fit([waves], confirm_rows=2, follow_seconds=s) for s in (None, MINUTE))
    assert as_they_are.normal is None
    assert relative.normal == pytest.approx(np.median(waves))
    assert relative.threshold(1.0, MINUTE) < 0.9 * as_they_are.threshold(1.0, MINUTE)


def test_calibration_without_scores_is_reluctant() -> None:
    """Nothing known of normal scores, or only missing ones, gives a threshold far above a normal score of 1."""
    for stretches in ([], [np.full(100, np.nan)], [np.zeros(0)]):
        calibration = Calibration.fit(stretches, confirm_rows=2)
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
    whole, partial = (Calibration.fit([s], confirm_rows=2).threshold(1.0, MINUTE) for s in (scores, gappy))
    assert partial == pytest.approx(whole, rel=0.25)


@given(st.lists(st.floats(0, 10) | st.just(math.nan), max_size=25), st.integers(1, 5))
def test_confirmed_level_is_the_highest_confirming_threshold(scores: list[float], confirm_rows: int) -> None:
    """It equals brute force: just below it an event is confirmed at the row, at it or above none is."""
    score = np.array(scores, dtype=float)
    level = confirmed_level(score, confirm_rows)
    for t in range(len(score)):
        recent = score[max(t - confirm_rows, 0) : t + 1]
        candidates = [x for x in recent if not math.isnan(x) and (recent >= x).sum() >= confirm_rows]
        assert level[t] == max(candidates, default=-math.inf)
