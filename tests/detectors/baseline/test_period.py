"""The period, and the seasonal profile that rests on it."""

from __future__ import annotations

import numpy as np
import pytest

from tsdiff_monitor.detectors.baseline.period import dominant_period
from tsdiff_monitor.detectors.baseline.seasonal import Seasonal


def waves(rows: int, period: float, noise: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    t = np.arange(rows)[:, None]
    shape = np.sin(2 * np.pi * t / period) + 0.4 * np.sin(4 * np.pi * t / period)
    return shape * np.array([1.0, -1.0, 0.8]) + random.normal(0, noise, (rows, 3))


@pytest.mark.parametrize("period", [12, 60, 144])
def test_the_period_is_found_through_noise_and_gaps(period: int) -> None:
    """To within a row, with a tenth of the cells and a whole stretch missing."""
    values = waves(10 * period, period, 0.5)
    values[np.random.default_rng(1).random(values.shape) < 0.1] = np.nan
    values[3 * period : 4 * period] = np.nan
    found = dominant_period(values)
    assert found is not None and abs(found - period) <= 1


def test_a_period_near_a_day_is_a_day() -> None:
    """Four noisy cycles show a period to within a few rows; people and cron keep to the clock."""
    values = waves(600, 144, 0.5)
    assert dominant_period(values, (6, 72, 144, 1008)) == 144
    assert dominant_period(waves(600, 100, 0.1), (6, 72, 144, 1008)) == 100


def test_where_there_is_no_period_none_is_found() -> None:
    """Noise, a trend, a random walk, constants, emptiness and too few rows have none."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(600, 3))
    for values in (
        noise,
        np.linspace(0, 5, 600)[:, None] + 0.1 * noise,
        np.cumsum(noise[:, :1], 0),
        np.ones((600, 2)),
        np.full((600, 2), np.nan),
        waves(8, 4, 0.0),
    ):
        assert dominant_period(values) is None


def test_a_profile_knows_the_time_of_day_not_the_row() -> None:
    """The same clock time is expected to be the same in a frame that begins elsewhere."""
    values, clock = waves(600, 60, 0.1), np.arange(600) + 7_000_000
    model = Seasonal.fit(values, clock, 16, None)
    assert abs(model.period - 60) <= 1
    whole, _ = model.forecast(values, clock, 500)
    part, _ = model.forecast(values[450:], clock[450:], 50)
    np.testing.assert_allclose(part, whole, atol=1e-9)
    assert np.abs(whole - values[500:]).mean() < 0.2


def test_a_metric_without_a_season_gets_none() -> None:
    """Its profile is 0: noise must not be added to what is expected of it."""
    values = waves(1200, 60, 0.1)
    values[:, 1] = np.random.default_rng(2).normal(size=1200)
    profile = np.array(Seasonal.fit(values, np.arange(1200), 16, 60).profile)
    assert np.ptp(profile[:, 0]) > 1
    assert (profile[:, 1] == 0).all()


def test_a_long_period_is_kept_in_a_bounded_profile() -> None:
    """A week of minutes takes 288 bins, not 10,080."""
    t = np.arange(30_240)
    values = np.sin(2 * np.pi * t / 10_080)[:, None]
    model = Seasonal.fit(values, t, 16, 10_080)
    assert len(model.profile) == 288
    assert np.abs(model.forecast(values, t, 20_160)[0] - values[20_160:]).mean() < 0.05
