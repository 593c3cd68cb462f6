"""Values that metrics should have had, given the others of their row."""

from __future__ import annotations

import numpy as np
import pytest

from tsdiff_monitor.scoring.regression import Regression

BLOCKS = ((800, 1000), (1800, 2000))


def rows(count: int = 2000, seed: int = 0) -> np.ndarray:
    """Four standardised metrics: the sum of a shared normal and one of their own, of equal variance."""
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(count, 1)) + rng.normal(size=(count, 4))) / np.sqrt(2)
    return np.asarray(values, dtype=np.float32)


@pytest.fixture
def hidden() -> np.ndarray:
    return np.array([True, False, False, False])


def test_normal_data_has_its_exact_conditional(hidden: np.ndarray) -> None:
    """With correlations of 1/2 the mean is a quarter of the others' sum, and the variance 5/8."""
    z = rows(20_000)
    middle, lower, upper = Regression.fit(z, ((18_000, 20_000),), band=0.9).expected(z[:500], hidden)
    assert middle[:, 0] == pytest.approx(z[:500, 1:].sum(1) / 4, abs=0.08)
    assert (upper - lower)[:, 0] == pytest.approx(2 * 1.645 * np.sqrt(5 / 8), rel=0.05)
    assert np.isnan(middle[:, 1:]).all()


def test_the_band_holds_as_many_new_values_as_it_says(hidden: np.ndarray) -> None:
    """Also where residuals have heavy tails: it is made of them."""
    rng = np.random.default_rng(1)
    z = rows() + 0.3 * rng.standard_t(3, size=(2000, 4)).astype(np.float32)
    fresh = rows(seed=2) + 0.3 * rng.standard_t(3, size=(2000, 4)).astype(np.float32)
    _, lower, upper = Regression.fit(z, BLOCKS, band=0.9).expected(fresh, hidden)
    assert ((fresh >= lower) & (fresh <= upper))[:, 0].mean() == pytest.approx(0.9, abs=0.04)


def test_own_values_have_no_say(hidden: np.ndarray) -> None:
    """Expectations without the hidden metric's value: absent or absurd, they are the same."""
    z = rows(300)
    spoilt = z.copy()
    spoilt[:100, 0], spoilt[100:200, 0] = np.nan, 1e9
    book = Regression.fit(rows(), BLOCKS, band=0.9)
    assert np.array_equal(np.stack(book.expected(z, hidden)), np.stack(book.expected(spoilt, hidden)), equal_nan=True)


def test_the_band_widens_with_what_is_missing(hidden: np.ndarray) -> None:
    """Each metric less to go by is a wider band; with none it is that of the history."""
    widths = []
    book = Regression.fit(rows(), BLOCKS, band=0.9)
    for missing in range(4):
        z = rows(1)
        z[:, 1 : 1 + missing] = np.nan
        middle, lower, upper = book.expected(z, hidden)
        widths.append(float((upper - lower)[0, 0]))
    assert (np.diff(widths) > 0).all()
    assert widths[-1] == pytest.approx(2 * 1.645, rel=0.15)
    assert middle[0, 0] == pytest.approx(0, abs=0.2)


def test_unusual_metrics_are_survived() -> None:
    """Constant, empty and duplicate metrics, a single excursion and a short history give finite bands."""
    z = rows(40)
    z[:, 0], z[:, 1], z[:, 2], z[5, 3] = 0.0, np.nan, z[:, 3], 1e8
    book = Regression.fit(z, ((0, 40),), band=0.98)
    for k in range(4):
        assert np.isfinite(np.stack(book.expected(z, np.arange(4) == k))[:, :, k]).all()


def test_a_metric_alone_and_no_rows() -> None:
    """Degenerate shapes give results of their shape."""
    book = Regression.fit(rows()[:, :1], BLOCKS, band=0.9)
    assert np.isfinite(np.stack(book.expected(rows(5)[:, :1], np.array([True])))).all()
    assert book.expected(rows(0)[:, :1], np.array([True]))[0].shape == (0, 1)
