from __future__ import annotations

import pytest

from tests.gaussian_pair import optimal_imputer
from tsdiff_monitor.diffusion.imputer import Imputer


@pytest.fixture(scope="session")
def gaussian_pair() -> Imputer:
    """The optimal imputer of two metrics with correlation 0.8."""
    return optimal_imputer()
