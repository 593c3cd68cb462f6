"""Baselines behind the detector's door: scores, attribution, expectations, gaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import DataError, SchemaMismatchError
from tsdiff_monitor.scoring.calibration import confirmed_level
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame

FITTED, ROWS = 560, 720
Edited = Callable[[Callable[[np.ndarray], None]], Frame]


def scores_of(detector: Detector, frame: Frame, **options: object) -> np.ndarray:
    return detector.score(frame, first=FITTED, **options).score  # type: ignore[arg-type]


def events_of(scores: np.ndarray) -> int:
    """Rows at which an event would be confirmed: two of three above 1."""
    return int((confirmed_level(scores, 2) > 1).sum())


def test_normal_rows_score_low_and_a_burst_high(detector: BaselineDetector, whole: Frame, edited: Edited) -> None:
    """A day like the others is no event; a burst in one metric is above 1, and that metric is to blame."""
    assert events_of(scores_of(detector, whole)) == 0

    def burst(values: np.ndarray) -> None:
        values[650:654, 1] *= 3

    scores = detector.score(edited(burst), first=FITTED)
    assert (scores.score[650 - FITTED : 654 - FITTED] > 1).all()
    assert (scores.attribution[650 - FITTED : 654 - FITTED].argmax(1) == 1).all()


def test_a_shift_is_not_its_own_normal_at_once(detector: BaselineDetector, edited: Edited) -> None:
    """The newest eighth of a window is no evidence of what is normal: the rows of a shift confirm each other."""

    def shift(values: np.ndarray) -> None:
        values[650:] += 30

    rows = scores_of(detector, edited(shift))[650 - FITTED :]
    assert (rows[:3] > 1).all()


def test_the_end_of_an_incident_is_no_event(detector: BaselineDetector, whole: Frame, edited: Edited) -> None:
    """An incident's values are not expected once it is over: the rows after it score as if it had not been."""

    def burst(values: np.ndarray) -> None:
        values[650:656] *= 4

    after = scores_of(detector, edited(burst))[656 - FITTED : 656 + 24 - FITTED]
    assert (after < 1).sum() >= 23 and events_of(after) == 0
    expected = detector.expected(edited(burst), ["cpu"], first=656, last=680).yhat
    usual = detector.expected(whole, ["cpu"], first=656, last=680).yhat
    assert np.abs(expected - usual).max() < 5  # of 40 that the incident showed


def test_row_by_row_equals_all_at_once(detector: BaselineDetector, whole: Frame) -> None:
    """A row's score rests on its window and on nothing after it; the two modes are the same."""
    at_once = scores_of(detector, whole)
    np.testing.assert_array_equal(at_once, scores_of(detector, whole, mode="batch"))
    for row in (FITTED, FITTED + 13, ROWS - 1):
        window = whole.rows(row + 1 - detector.window, row + 1)
        one = detector.score(window, first=len(window) - 1).score
        np.testing.assert_array_equal(one, at_once[row - FITTED : row - FITTED + 1])


def test_attribution_is_a_distribution_in_the_order_given(detector: BaselineDetector, whole: Frame) -> None:
    """Shares sum to 1, and the order of series changes neither scores nor shares."""
    scores = detector.score(whole, first=FITTED)
    np.testing.assert_allclose(scores.attribution.sum(1), 1, rtol=1e-5)
    turned = detector.score(whole.select(["requests", "cpu", "memory"]), first=FITTED)
    np.testing.assert_array_equal(turned.score, scores.score)
    np.testing.assert_array_equal(turned.attribution, scores.attribution[:, [2, 0, 1]])


@pytest.mark.parametrize("rows", [1, 10, 100])
def test_gaps_are_no_events(detector: BaselineDetector, edited: Edited, rows: int) -> None:
    """Missing rows have no score, the rows after them are no event, and a metric that vanished is never blamed."""

    def gap(values: np.ndarray) -> None:
        values[590 : 590 + rows] = np.nan
        values[:, 2] = np.where(np.arange(ROWS) >= 585, np.nan, values[:, 2])

    scores = detector.score(edited(gap), first=FITTED)
    missing = slice(590 - FITTED, 590 + rows - FITTED)
    assert np.isnan(scores.score[missing]).all()
    rest = np.delete(scores.score, np.arange(ROWS - FITTED)[missing])
    assert np.isfinite(rest).all()
    assert events_of(scores.score) == 0
    assert (scores.attribution[590 - FITTED :, 2] == 0).all()


def test_constant_and_empty_metrics(whole: Frame) -> None:
    """A constant metric is normal until it changes; one without any value never counts."""
    values = np.concatenate([whole.values, np.full((ROWS, 1), 7.0), np.full((ROWS, 1), np.nan)], axis=1)
    frame = example_frame(ROWS, ("cpu", "memory", "requests", "flat", "gone"), step="10min")
    frame = Frame(frame.start, frame.step, values, frame.series)
    detector = BaselineDetector.fit(frame.rows(0, FITTED))
    quiet = scores_of(detector, frame)
    assert (quiet < 1).all()
    changed = values.copy()
    changed[700:, 3:] = 8.0
    scores = detector.score(Frame(frame.start, frame.step, changed, frame.series), first=FITTED)
    assert scores.score[700 - FITTED] > quiet[700 - FITTED]
    assert scores.attribution[700 - FITTED, 3] == scores.attribution[700 - FITTED].max()
    assert (scores.attribution[:, 4] == 0).all()


def test_a_larger_spike_never_scores_lower(detector: BaselineDetector, edited: Edited) -> None:
    """Large excursions are tamed, not cut off."""

    def spike(size: float) -> Callable[[np.ndarray], None]:
        def edit(values: np.ndarray) -> None:
            values[650, 0] += size

        return edit

    for sign in (-1, 1):
        found = [scores_of(detector, edited(spike(sign * size)))[650 - FITTED] for size in (5, 20, 100, 1e4, 1e8)]
        assert found == sorted(found)
        assert found[0] < found[-1]


def test_rules_decide_what_counts(detector: BaselineDetector, edited: Edited) -> None:
    """A deviation that the user does not care about raises nothing and blames no one."""

    def burst(values: np.ndarray) -> None:
        values[650, 1] *= 3

    frame = edited(burst)
    ignored = detector.score(frame, first=FITTED, rules={"memory": Rule("below_expected")})
    counted = detector.score(frame, first=FITTED, rules={"memory": Rule("above_expected")})
    assert ignored.score[650 - FITTED] < 1 < counted.score[650 - FITTED]
    assert ignored.attribution[650 - FITTED, 1] == 0


def test_more_alarms_allowed_are_higher_scores(detector: BaselineDetector, whole: Frame) -> None:
    """The threshold follows the allowance, the order of rows does not change."""
    few, many = scores_of(detector, whole, alarms_per_week=0.1), scores_of(detector, whole, alarms_per_week=20.0)
    assert (many > few).all()
    np.testing.assert_allclose(many / few, (many / few)[0])


def test_a_short_history_is_allowed_less_of_a_verdict(whole: Frame) -> None:
    """After an hour thresholds are wider than after days, so that a group's first day does not page on noise."""
    short = BaselineDetector.fit(whole.rows(FITTED - 32, FITTED))
    long = BaselineDetector.fit(whole.rows(0, FITTED))
    assert short.card.widening == 2 > long.card.widening
    assert (scores_of(short, whole) < 1).all()


def test_the_band_holds_normal_values(detector: BaselineDetector, whole: Frame, edited: Edited) -> None:
    """Nine of ten normal values lie in the 98 % band; it widens in gaps, and does not follow an incident at once."""
    expected = detector.expected(whole, ["memory", "cpu"], first=FITTED)
    actual = whole.rows(FITTED, ROWS).select(["memory", "cpu"]).values
    inside = (expected.yhat_lower <= actual) & (actual <= expected.yhat_upper)
    assert inside.mean() > 0.9
    assert [series.name for series in expected.series] == ["memory", "cpu"]
    assert (expected.yhat_lower <= expected.yhat).all() and (expected.yhat <= expected.yhat_upper).all()

    def burst(values: np.ndarray) -> None:
        values[650:653, 1] *= 3

    empty = Frame(whole.start, whole.step, np.where(np.arange(ROWS)[:, None] < 650, np.nan, whole.values), whole.series)
    blind = detector.expected(empty, ["memory"], first=650, last=651)
    seeing = detector.expected(whole, ["memory"], first=650, last=651)
    assert blind.yhat_upper - blind.yhat_lower > seeing.yhat_upper - seeing.yhat_lower
    during = detector.expected(edited(burst), ["memory"], first=650, last=653)
    np.testing.assert_array_equal(during.yhat[:, 0], expected.yhat[650 - FITTED : 653 - FITTED, 0])


def test_errors_say_what_differs(detector: BaselineDetector, whole: Frame) -> None:
    """Other metrics, another step and too few rows are named."""
    with pytest.raises(SchemaMismatchError, match="missing: requests"):
        detector.score(whole.select(["cpu", "memory"]))
    with pytest.raises(SchemaMismatchError, match="60 s apart, but the model was fit on rows 600 s apart"):
        detector.score(example_frame(100))
    with pytest.raises(DataError, match="at least 32 rows, but there are 31"):
        BaselineDetector.fit(whole.rows(0, 31))


def test_the_season_is_expected(history: Frame, whole: Frame) -> None:
    """With a profile the daily wave is no residual: what is left is smaller than without."""
    plain, seasonal = (
        BaselineDetector.fit(history, BaselineModelConfig(method=method, window=24))
        for method in ("smoothing", "seasonal")
    )
    left = []
    for detector in (plain, seasonal):
        expected = detector.expected(whole, whole.names, first=FITTED)
        left.append(float(np.abs(expected.yhat - whole.rows(FITTED, ROWS).values).mean()))
    assert left[1] < 0.8 * left[0]
