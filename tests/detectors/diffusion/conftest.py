"""A detector that is fit once for all tests, and rows to score."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.diffusion.metrics import CONFIG, FIT_ROWS, frame_of, made_values
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector


@pytest.fixture(scope="session")
def values() -> np.ndarray:
    return made_values()


@pytest.fixture(scope="session")
def detector(values: np.ndarray) -> DiffusionDetector:
    return DiffusionDetector.fit(frame_of(values[:FIT_ROWS]), CONFIG)


@pytest.fixture
def fresh(values: np.ndarray) -> np.ndarray:
    """Rows after those of the fit, free to be spoilt."""
    return values[FIT_ROWS:].copy()
