from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsdiff_monitor.scoring.attribution import attribute

CELLS = arrays(
    np.float64, st.tuples(st.integers(0, 6), st.integers(1, 5)), elements=st.floats(0, 1e12) | st.just(np.nan)
)


@given(CELLS)
def test_shares_sum_to_one(contribution: np.ndarray) -> None:
    """Each row's shares are >= 0 and sum to 1; without any evidence they are all 0."""
    shares = attribution = attribute(contribution)
    evidence = np.nansum(contribution, 1) > 0
    assert (shares >= 0).all()
    assert attribution.sum(1)[evidence] == pytest.approx(1, abs=1e-5)
    assert (attribution[~evidence] == 0).all()


def test_missing_cells_have_no_share() -> None:
    """Only what was seen can be a culprit."""
    assert attribute(np.array([[np.nan, 3.0, 1.0]])) == pytest.approx(np.array([[0, 0.9, 0.1]]))
