"""Scores of rows: normal, unusual, or with gaps in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.detectors.diffusion.metrics import QUICK, START, STEP, frame_of, made_values
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import DataError, SchemaMismatchError
from tsdiff_monitor.scoring.calibration import confirmed_level
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import Scores


def confirmed(scores: Scores) -> np.ndarray:
    return np.asarray(confirmed_level(scores.score, 2) > 1)


def test_normal_rows_score_low_and_a_spike_high(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Above 1 is anomalous: normal rows are below, and a metric that leaves the others is above and to blame."""
    fresh[200:203, 2] += 10 * fresh[:, 2].std()
    scores = detector.score(frame_of(fresh), first=16)
    normal = np.delete(scores.score, range(184, 200))
    assert (normal < 1).mean() > 0.99
    assert (scores.score[184:187] > 1).all()
    assert (scores.attribution[184:187].argmax(1) == 2).all()
    assert len(scores) == len(scores.times) == len(fresh) - 16
    assert scores.times[0] == START + 16 * STEP


@pytest.mark.parametrize("mode", ["stream", "batch"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_larger_spike_never_lowers_the_score(
    detector: DiffusionDetector, fresh: np.ndarray, mode: str, sign: int
) -> None:
    """In either direction and over all magnitudes up to absurd ones, more deviation is more evidence."""
    peaks = []
    for size in (0.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e6, 1e12, 1e30):
        spiked = fresh.copy()
        spiked[100, 1] += sign * size * fresh[:, 1].std()
        peaks.append(detector.score(frame_of(spiked), first=100, mode=mode).score[0])  # type: ignore[arg-type]
    assert np.isfinite(peaks).all()
    assert (np.diff(peaks) >= 0).all()
    assert peaks[0] < 1 < peaks[3]


def test_scoring_row_by_row_equals_scoring_at_once(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Live and in a backtest, the same rows get the same scores."""
    at_once = detector.score(frame_of(fresh[:60]), first=20)
    for t in range(20, 60):
        one = detector.score(frame_of(fresh[t - 15 : t + 1]), first=15)
        assert one.score[0] == pytest.approx(at_once.score[t - 20], rel=1e-4)
        assert one.attribution[0] == pytest.approx(at_once.attribution[t - 20], abs=1e-4)


def test_scoring_twice_gives_the_same(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Nothing is drawn anew: the same rows always have the same scores."""
    a, b = (detector.score(frame_of(fresh), mode="batch") for _ in range(2))
    assert np.array_equal(a.score, b.score)


def test_attribution_is_a_distribution(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Shares are >= 0 and sum to 1, and to 0 where nothing was scored."""
    fresh[50] = np.nan
    scores = detector.score(frame_of(fresh))
    assert (scores.attribution >= 0).all()
    totals = scores.attribution.sum(1)
    assert totals[50] == 0
    assert np.delete(totals, 50) == pytest.approx(1, abs=1e-5)


def test_order_of_series_does_not_matter(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A source may give the metrics in any order: scores are equal, attributions follow the frame's own order."""
    frame = frame_of(fresh[:80])
    shuffled = frame.select(["m2", "m0", "m3", "m1"])
    plain, permuted = detector.score(frame), detector.score(shuffled)
    assert np.array_equal(plain.score, permuted.score)
    assert permuted.series == shuffled.series
    assert np.array_equal(permuted.attribution, plain.attribution[:, [2, 0, 3, 1]])


def test_alarm_rate_moves_the_scores(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A user who allows more alarms gets higher scores from the same rows."""
    scores = [detector.score(frame_of(fresh), alarms_per_week=rate).score for rate in (0.1, 1.0, 10.0)]
    assert (scores[0] < scores[1]).all()
    assert (scores[1] < scores[2]).all()


@pytest.mark.parametrize("mode", ["stream", "batch"])
@pytest.mark.parametrize("rows", [0, 1, 3, 10])
def test_frames_shorter_than_a_window_are_scored(
    detector: DiffusionDetector, fresh: np.ndarray, mode: str, rows: int
) -> None:
    """A group seen for a few rows only is scored on those; no rows give no scores."""
    scores = detector.score(frame_of(fresh[:rows]), mode=mode)  # type: ignore[arg-type]
    assert len(scores) == rows
    assert scores.attribution.shape == (rows, 4)
    assert np.isfinite(scores.score).all()


@pytest.mark.parametrize("mode", ["stream", "batch"])
def test_scoring_may_begin_anywhere(detector: DiffusionDetector, fresh: np.ndarray, mode: str) -> None:
    """The last row alone, or none, can be asked for."""
    for first in (len(fresh) - 1, len(fresh)):
        scores = detector.score(frame_of(fresh), first=first, mode=mode)  # type: ignore[arg-type]
        assert len(scores) == len(fresh) - first
        assert np.isfinite(scores.score).all()


@pytest.mark.parametrize("rows", [1, 10, 40])
@pytest.mark.parametrize("metrics", [slice(1, 2), slice(None)])
def test_gaps_are_no_events(detector: DiffusionDetector, fresh: np.ndarray, rows: int, metrics: slice) -> None:
    """A gap of any length, in one metric or all, is scored through: no event is confirmed in it or after it."""
    fresh[100 : 100 + rows, metrics] = np.nan
    scores = detector.score(frame_of(fresh), first=16)
    assert not confirmed(scores)[70:].any()
    empty = np.isnan(fresh[16:]).all(1)
    assert np.array_equal(np.isnan(scores.score), empty)
    assert (scores.attribution[np.isnan(fresh[16:])] == 0).all()


def test_a_metric_that_vanished_is_no_event(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A metric missing throughout is no evidence; the others are scored without it."""
    fresh[:, 0] = np.nan
    scores = detector.score(frame_of(fresh), first=16)
    assert not confirmed(scores).any()
    assert np.isfinite(scores.score).all()


def test_empty_and_constant_metrics_do_not_dominate() -> None:
    """Metrics without any value or without change in the history neither break the fit nor drown the others."""
    values = made_values(1000)
    values[:, 0] = np.nan
    values[:, 1] = 3.0
    detector = DiffusionDetector.fit(frame_of(values[:800]), QUICK)
    rest = values[800:].copy()
    normal = detector.score(frame_of(rest), first=16)
    assert np.isfinite(normal.score).all()
    assert (normal.score < 1).mean() > 0.98
    rest[50, 0] = 1e6  # a value where there never was one is not judged
    rest[100, 1] = 4.0  # a change of a constant is evidence, as bounded as ...
    rest[150, 1] = 1e9  # ... any other change of it
    scores = detector.score(frame_of(rest), first=16)
    assert scores.score[34] == normal.score[34]
    assert scores.attribution[84].argmax() == 1
    assert normal.score[84] < scores.score[84]
    assert scores.score[134] < 3 * scores.score[84]


def test_other_metrics_are_named(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Metrics that are missing or new are named, with what to do."""
    other = Frame(START, STEP, fresh, tuple(Series(name) for name in ("m0", "m1", "m2", "disk")))
    with pytest.raises(SchemaMismatchError, match=r"missing: m3; new: disk.*fit again"):
        detector.score(other)
    with pytest.raises(SchemaMismatchError, match="missing: m3"):
        detector.expected(other, ["m0"])
    with pytest.raises(DataError, match="no series named m9"):
        detector.expected(frame_of(fresh), ["m9"])


def test_another_step_is_refused(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A model of minutes does not hold for seconds."""
    slower = frame_of(fresh, step=pd.Timedelta("30s"))
    with pytest.raises(SchemaMismatchError, match=r"30 s apart, but .* 60 s apart; fit again, or give both"):
        detector.score(slower)
