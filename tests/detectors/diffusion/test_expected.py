"""Expected values and their bands."""

from __future__ import annotations

import numpy as np

from tests.detectors.diffusion.metrics import CONFIG, frame_of
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector


def test_band_holds_most_normal_values(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Held-out normal values of each metric lie within its band about as often as the band says, which is narrow."""
    frame = frame_of(fresh)
    for k in range(4):
        expected = detector.expected(frame, [f"m{k}"], first=20, last=180, read=8)
        y = fresh[20:180, [k]]
        inside = (y >= expected.yhat_lower) & (y <= expected.yhat_upper)
        assert inside.mean() > 0.85
        assert (expected.yhat_lower <= expected.yhat).all()
        assert (expected.yhat <= expected.yhat_upper).all()
        assert np.median(expected.yhat_upper - expected.yhat_lower) < 5 * y.std()


def test_expected_is_counterfactual(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A spiked metric is expected where it would have been: its own values, now and before, have no say in it."""
    normal = detector.expected(frame_of(fresh), ["m2"], first=100, last=120)
    spiked = fresh.copy()
    spiked[90:120, 2] += 1e6
    expected = detector.expected(frame_of(spiked), ["m2"], first=100, last=120)
    assert np.array_equal(expected.yhat, normal.yhat)
    assert np.abs(expected.yhat[:, 0] - fresh[100:120, 2]).mean() < fresh[:, 2].std()
    assert np.array_equal(expected.yhat_upper, normal.yhat_upper)


def test_bands_widen_in_gaps(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """The less is given, the less is known: when the other metrics are missing the band is wider."""
    whole = detector.expected(frame_of(fresh), ["m0"], first=100, last=132)
    fresh[60:132, 1:] = np.nan
    fresh[60:132, 0] = np.nan
    gap = detector.expected(frame_of(fresh), ["m0"], first=100, last=132)
    assert (gap.yhat_upper - gap.yhat_lower).mean() > 1.2 * (whole.yhat_upper - whole.yhat_lower).mean()


def test_expected_columns_follow_the_names(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Asked for several metrics, the columns and series come in the order asked for, rows as asked for."""
    frame = frame_of(fresh)
    one = detector.expected(frame, ["m1", "m3"], first=30, last=40)
    other = detector.expected(frame.select(["m3", "m2", "m1", "m0"]), ["m3", "m1"], first=30, last=40)
    assert [series.name for series in other.series] == ["m3", "m1"]
    assert np.array_equal(other.yhat, one.yhat[:, ::-1])
    assert list(one.times) == list(frame.times[30:40])
    assert len(detector.expected(frame, ["m1"], first=len(frame), last=len(frame) + 5).times) == 0


def test_a_lone_metric_is_forecast() -> None:
    """With no other metric to go by, a metric is expected from its own past, which is better than knowing nothing."""
    wave = 5 + np.sin(np.arange(1000) / 4)[:, None]
    detector = DiffusionDetector.fit(frame_of(wave[:800]), CONFIG)
    expected = detector.expected(frame_of(wave[800:]), ["m0"], first=50, last=150, read=1)
    assert np.abs(expected.yhat - wave[850:950]).mean() < 0.5 * wave.std()
