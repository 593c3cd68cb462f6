"""Every method takes what real data brings, and finds what cannot be missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks.methods import BASELINES, DEFAULT, METHODS, Setting, chosen
from benchmarks.methods.base import WINDOW, Scaling, Scorer, evenly, mean_over_windows, windows_of
from benchmarks.methods.density import diffusion_time, evidence_bound, flow_likelihood
from benchmarks.methods.forecasting import cnn
from benchmarks.methods.univariate import season_rows
from tsdiff_monitor.errors import DataError

SETTING = Setting(seed=0, step_seconds=60.0)
OUTLIER = 123

FAST = {**BASELINES, "cnn": replace(BASELINES["cnn"], fit=cnn(steps=40))}
"""The baselines with a CNN that is fit for a moment only."""


def waves(rows: int, metrics: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) * 2 * np.pi / 60)[:, None]
    return (wave * (1 + np.arange(metrics)) + rng.normal(0, 0.1, (rows, metrics))).astype(np.float32)


def damaged(rows: int, metrics: int, seed: int) -> np.ndarray:
    values = waves(rows, metrics, seed)
    values[OUTLIER] += 30
    return values


@pytest.mark.parametrize("metrics", [1, 4])
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "random"])
def test_an_obvious_outlier_ranks_first(name: str, metrics: int) -> None:
    """Within a window of the outlier's row, in one metric and in several; every score is finite."""
    score = FAST[name].fit(waves(400, metrics, 0), SETTING)(damaged(300, metrics, 1))
    assert score.shape == (300,)
    assert np.isfinite(score).all()
    assert abs(int(np.argmax(score)) - OUTLIER) < WINDOW


QUICK = {"window": 32, "width": 32, "layers": 1, "fit_steps": 40}


@pytest.mark.parametrize("fit", [partial(evidence_bound, **QUICK), partial(flow_likelihood, **QUICK), diffusion_time])
def test_density_methods_rank_an_obvious_outlier_first(fit: Callable[[np.ndarray, Setting], Scorer]) -> None:
    """Within the rows that one likelihood stands for; missing cells are accepted, every score is finite."""
    train, test = waves(400, 3, 0), damaged(300, 3, 1)
    test[40:44, 1] = np.nan
    score = fit(train, SETTING)(test)
    assert score.shape == (300,)
    assert np.isfinite(score).all()
    assert abs(int(np.argmax(score)) - OUTLIER) < 16


@pytest.mark.parametrize("name", BASELINES)
def test_missing_values_are_accepted(name: str) -> None:
    """Single cells, whole rows, and a metric that never had a value, in training and in what is scored."""
    train, test = waves(400, 4, 0), damaged(300, 4, 1)
    for values in (train, test):
        values[10, 1] = values[40:60] = values[:, 3] = np.nan
    score = FAST[name].fit(train, SETTING)(test)
    assert np.isfinite(score).all()
    assert name == "random" or abs(int(np.argmax(score)) - OUTLIER) < WINDOW


@pytest.mark.parametrize("name", BASELINES)
def test_short_and_constant_series_are_accepted(name: str) -> None:
    """Six rows, fewer than a window, and a metric that never moved."""
    score = FAST[name].fit(np.ones((6, 2), np.float32), SETTING)(np.ones((5, 2), np.float32))
    assert score.shape == (5,)
    assert np.isfinite(score).all()


@pytest.mark.parametrize("name", BASELINES)
def test_the_seed_decides_and_only_where_declared(name: str) -> None:
    """The same seed gives the same scores; another one gives others if and only if the method says so."""
    train, test = waves(200, 3, 0), waves(150, 3, 1)
    first, again, other = (FAST[name].fit(train, Setting(seed, 60.0))(test) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert FAST[name].seeded == (not np.array_equal(first, other))


def test_the_zscore_of_the_notes_is_a_mean_of_absolute_deviations() -> None:
    """By the training mean and deviation, the latter at least 0.01."""
    train = np.array([[0.0, 5.0], [2.0, 5.0]], np.float32)
    score = BASELINES["zscore"].fit(train, SETTING)(np.array([[4.0, 5.02]], np.float32))
    assert score == pytest.approx([(3 + 2) / 2], rel=1e-4)


def test_scaling_ignores_what_is_missing() -> None:
    """Mean and deviation of the values there are; a missing value becomes the mean."""
    scaling = Scaling.fit(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]]))
    assert scaling.mean.tolist() == [2.0, 0.0]
    assert scaling.deviation.tolist() == [1.0, 0.01]
    assert scaling(np.array([[np.nan, np.nan], [4.0, np.nan]])).tolist() == [[0.0, 0.0], [2.0, 0.0]]


def test_a_rows_score_is_the_mean_over_the_windows_that_hold_it() -> None:
    """Compared with a loop; windows are those of consecutive rows."""
    rows = 25
    windows = windows_of(np.arange(rows, dtype=float)[:, None])
    assert windows.shape == (rows - WINDOW + 1, WINDOW)
    assert windows[3].tolist() == list(range(3, 3 + WINDOW))
    of_window = np.random.default_rng(0).random(len(windows))
    expected = [np.mean([of_window[i] for i in range(len(windows)) if i <= row < i + WINDOW]) for row in range(rows)]
    assert mean_over_windows(of_window, rows) == pytest.approx(expected)


def test_long_training_data_is_thinned_evenly() -> None:
    """First and last row stay; short data stays as it is."""
    assert evenly(np.arange(100), 4).tolist() == [0, 33, 66, 99]
    assert evenly(np.arange(3), 4).tolist() == [0, 1, 2]


def test_the_season_is_a_day_where_two_fit_else_an_hour() -> None:
    """One-minute rows over a week, over 6 hours and over 50 minutes; hourly rows over ten days."""
    assert [season_rows(rows, 60.0) for rows in (10_080, 360, 50)] == [1440, 60, 25]
    assert season_rows(240, 3600.0) == 24


def test_methods_are_named_in_lists() -> None:
    """Without repeats; ``baselines`` stands for all of them; an unknown name is an error that lists the known."""
    assert chosen("zscore, pca,zscore") == ["zscore", "pca"]
    assert chosen("baselines,diffusion") == [*BASELINES, "diffusion"]
    assert set(BASELINES) < set(DEFAULT) < set(METHODS)
    assert "csdi_reference" not in DEFAULT  # hours
    with pytest.raises(DataError, match="no method nonsense; known: random"):
        chosen("pca,nonsense")
    with pytest.raises(DataError, match="no method is named"):
        chosen(" , ")
