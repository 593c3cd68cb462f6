"""sktime's forecasters as baselines; skipped where sktime is not installed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sktime", reason="sktime is not installed: pip install 'tsdiff-monitor[sktime]'")

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.detectors.registry import load_detector
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame

pytestmark = pytest.mark.filterwarnings("ignore")  # what sktime's own imports warn of is not ours to fix

CONFIG = BaselineModelConfig(method="forecaster", window=16, forecaster="NaiveForecaster")


@pytest.fixture(scope="module")
def frame() -> Frame:
    return example_frame(160, ("cpu", "memory"), step="10min")


@pytest.fixture(scope="module")
def detector(frame: Frame) -> BaselineDetector:
    return BaselineDetector.fit(frame.rows(0, 80), CONFIG)


def test_a_forecaster_scores_like_any_detector(detector: BaselineDetector, frame: Frame, tmp_path) -> None:
    """Normal rows low, a burst high, the same after loading; gaps are filled, never an error."""
    values = frame.values.copy()
    values[120:124, 0] *= 5
    values[100:103] = np.nan
    spoilt = Frame(frame.start, frame.step, values, frame.series)
    scores = detector.score(spoilt, first=80)
    assert (scores.score[40:42] > 1).all()
    assert np.isnan(scores.score[20:23]).all()
    assert np.nanmax(scores.score[:20]) < 1
    detector.save(tmp_path)
    np.testing.assert_array_equal(load_detector(tmp_path).score(spoilt, first=80).score, scores.score)


def test_blocks_do_not_depend_on_how_rows_come(detector: BaselineDetector, frame: Frame) -> None:
    """One window at a time gives what all rows at once give."""
    at_once = detector.score(frame, first=80).score
    for row in (80, 91, 97, 159):
        window = frame.rows(row + 1 - detector.window, row + 1)
        assert detector.score(window, first=len(window) - 1).score[0] == pytest.approx(at_once[row - 80])


def test_the_naive_forecast_is_the_last_value(detector: BaselineDetector, frame: Frame) -> None:
    """The expected value of a block's rows is the value before the block."""
    expected = detector.expected(frame, ["cpu"], first=80).yhat[:, 0]
    distance = np.abs(expected[:, None] - frame.values[None, :, 0]).min(1)
    assert distance.max() < 1e-4


def test_a_forecaster_that_cannot_be_used_is_named(frame: Frame) -> None:
    """An unknown name with the nearest one, wrong arguments and wrong data with sktime's own words."""

    def fit(name: str, **parameters: str | bool | int) -> None:
        config = BaselineModelConfig(method="forecaster", window=16, forecaster=name, parameters=parameters)
        BaselineDetector.fit(frame.rows(0, 150), config)

    with pytest.raises(DataError, match=r"no forecaster 'NaiveForcaster'; did you mean `NaiveForecaster`\?"):
        fit("NaiveForcaster")
    with pytest.raises(DataError, match=r"NaiveForecaster cannot be made of these `parameters`: .*strategi"):
        fit("NaiveForecaster", strategi="mean")
    with pytest.raises(DataError, match="ThetaForecaster cannot forecast this history: Multiplicative"):
        fit("ThetaForecaster", sp=4)  # its default is multiplicative, which scaled values are not made for
    fit("ThetaForecaster", sp=4, deseasonalize=False)
