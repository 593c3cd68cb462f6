"""A daily wave in three metrics, five days of ten minutes, and baselines fit on the first four."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame

FITTED, ROWS = 560, 720  # not whole days, so that the rows held out are of different hours
SMOOTHING = BaselineModelConfig(window=24)
SEASONAL = BaselineModelConfig(method="seasonal", window=24)

Edit = Callable[[np.ndarray], None]


@pytest.fixture(scope="session")
def whole() -> Frame:
    return example_frame(ROWS, step="10min")


@pytest.fixture(scope="session")
def history(whole: Frame) -> Frame:
    return whole.rows(0, FITTED)


@pytest.fixture(scope="session", params=["smoothing", "seasonal"])
def detector(request: pytest.FixtureRequest, history: Frame) -> BaselineDetector:
    return BaselineDetector.fit(history, SMOOTHING if request.param == "smoothing" else SEASONAL)


@pytest.fixture
def edited(whole: Frame) -> Callable[[Edit], Frame]:
    """The whole frame with some of its values changed."""

    def make(edit: Edit) -> Frame:
        values = whole.values.copy()
        edit(values)
        return Frame(whole.start, whole.step, values, whole.series)

    return make
