from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsdiff_monitor.scoring.scaling import Scaler

VALUES = arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32))


@given(VALUES)
def test_round_trip(values: np.ndarray) -> None:
    """Scaling and back gives the values again, to float32's precision of the metric's magnitude."""
    scaler = Scaler.fit(values)
    back = scaler.inverse(scaler.transform(values).astype(np.float64))
    magnitude = np.abs(values).max(0)
    kept = ~scaler.constant
    assert np.all(np.abs(back - values)[:, kept] <= 1e-5 * magnitude[kept] + 1e-12)


def test_scaled_metrics_have_mean_0_and_deviation_1() -> None:
    """In any units, metrics become comparable; gaps stay gaps."""
    values = np.random.default_rng(0).normal([5, -300, 1e-4], [1, 50, 1e-5], (500, 3)).astype(np.float32)
    values[10:50, 1] = np.nan
    scaled = Scaler.fit(values).transform(values)
    assert np.nanmean(scaled, 0) == pytest.approx(0, abs=1e-3)
    assert np.nanstd(scaled, 0) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(np.isnan(scaled), np.isnan(values))


@pytest.mark.parametrize("constant", [0.0, 1.0, -7.5, 3e8])
def test_change_of_a_constant_is_bounded(constant: float) -> None:
    """A metric that never changed maps to 0; any change of it is evidence, but never more than 5 deviations."""
    scaler = Scaler.fit(np.full((50, 1), constant, np.float32))
    assert scaler.constant.all()
    scaled = scaler.transform(np.array([[constant], [constant * 2 + 1], [constant - 1e12]], np.float32))[:, 0]
    assert scaled[0] == 0
    assert 3 < scaled[1] <= 5 or constant == -7.5
    assert scaled[2] == pytest.approx(-5)
    assert scaler.inverse(np.array([[2.0]]))[0, 0] == constant


def test_metric_without_history_maps_to_missing() -> None:
    """The value expected of a metric without any in the history is unknown, in both directions."""
    values = np.array([[1, np.nan], [2, np.nan]], np.float32)
    scaler = Scaler.fit(values)
    assert scaler.empty.tolist() == [False, True]
    assert np.isnan(scaler.transform(np.ones((3, 2), np.float32))[:, 1]).all()
    assert np.isnan(scaler.inverse(np.zeros((3, 2)))[:, 1]).all()


def test_small_variation_on_a_large_offset_is_kept() -> None:
    """A counter-like level of 1e6 that varies by 10 is scaled in double precision: its variation survives."""
    rng = np.random.default_rng(0)
    values = (1e6 + 10 * rng.normal(size=(400, 1))).astype(np.float32)
    scaler = Scaler.fit(values)
    assert not scaler.constant.any()
    scaled = scaler.transform(values)
    assert scaled.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(scaler.inverse(scaled.astype(np.float64)) - values).max() < 1e-4


def test_any_float32_scales_to_a_finite_number() -> None:
    """The largest values a frame can hold do not overflow: an absurd reading is an anomaly, not a missing value."""
    scaler = Scaler.fit(np.array([[0.0], [1e-6]], np.float32))
    scaled = scaler.transform(np.array([[3e38], [-3e38]], np.float32))
    assert np.isfinite(scaled).all()
    assert scaled[0] > 1e6
    assert scaled[1] < -1e6
