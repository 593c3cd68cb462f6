from __future__ import annotations

import numpy as np
import pytest

from benchmarks.methods.density_scores import SIGMAS, denoising_terms, evidence_bound, flow_log_likelihoods
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.masks import forecast_mask, metric_mask
from tsdiff_monitor.scoring.plan import batch_plan

WINDOW = 8


def rows(T: int = 64, outlier: float = 0.0) -> np.ndarray:
    """Two metrics with correlation 0.8; ``outlier`` is added to metric 0 of row 30."""
    rng = np.random.default_rng(0)
    given = rng.normal(size=T)
    x = np.stack([0.8 * given + 0.6 * rng.normal(size=T), given], 1).astype(np.float32)
    x[30, 0] += outlier
    return x


def terms(imputer: Imputer, scaled: np.ndarray, **given: int) -> np.ndarray:
    plan = batch_plan(WINDOW, 2, sigma=2.0)
    return denoising_terms(imputer, scaled, plan, window=WINDOW, first=0, seed=0, **given)


def likelihoods(imputer: Imputer, scaled: np.ndarray, ends: np.ndarray | None = None, **given: float) -> np.ndarray:
    """ln p(newest cell of metric 0 | all else)."""
    mask = metric_mask(WINDOW, np.array([True, False]), rows=1)
    ends = np.arange(len(scaled)) if ends is None else ends
    return flow_log_likelihoods(imputer, scaled, mask, ends, seed=0, **given)  # type: ignore[arg-type]


def test_terms_have_their_expected_size(gaussian_pair: Imputer) -> None:
    """On normal data the mean of ‖x - D‖² / σ² is that of the optimal denoiser of N(0, Σ), λ / (λ + σ²), to 15 %.

    In a window of many rows, that is: its one draw of noise then averages out.
    """
    plan = batch_plan(512, 2, sigma=2.0)
    found = denoising_terms(gaussian_pair, rows(4000), plan, window=512, first=0, seed=0)
    assert found.shape == (len(SIGMAS), 4000, 2)
    for sigma, level in zip(SIGMAS, found, strict=True):
        # Gratings hide both metrics of a row, so the eigenvalues of [[1, .8], [.8, 1]] count.
        expected = np.mean([value / (value + sigma**2) for value in (1.8, 0.2)])
        assert level.mean() == pytest.approx(expected, rel=0.15)


def test_bound_is_the_integral(gaussian_pair: Imputer) -> None:
    """A constant term integrates to itself times the range of ln σ; more evidence is a larger bound."""
    assert evidence_bound(np.full((3, 5, 2), 2.0), (0.5, 1.0, 8.0)) == pytest.approx(2 * np.log(16.0))
    bound = evidence_bound(terms(gaussian_pair, rows(outlier=8.0)))
    assert bound.shape == (64, 2)
    assert bound[30, 0] > 2 * np.delete(bound[:, 0], 30).max()


def test_flow_likelihood_is_the_conditional_density(gaussian_pair: Imputer) -> None:
    """ln p(x | y) of a Gaussian pair in closed form, to 0.02 nats from far enough, and 0.2 by default."""
    scaled = rows()
    variance = 0.36 + 0.1**2
    residual = scaled[:, 0] - 0.8 * scaled[:, 1]
    exact = -0.5 * (residual**2 / variance + np.log(2 * np.pi * variance))
    assert likelihoods(gaussian_pair, scaled, steps=24, sigma_max=500.0) == pytest.approx(exact, abs=0.02)
    assert likelihoods(gaussian_pair, scaled) == pytest.approx(exact, abs=0.2)


def test_outlier_is_less_likely_than_inliers(gaussian_pair: Imputer) -> None:
    """The further out a cell is, the less likely it is, and the further above normal rows in the bound."""
    found = np.array([likelihoods(gaussian_pair, rows(outlier=size), np.array([30]))[0] for size in (0, 3, 6, 12)])
    assert (np.diff(found) < 0).all()
    everywhere = likelihoods(gaussian_pair, rows(outlier=6.0))
    assert everywhere.argmin() == 30


def test_missing_cells_have_no_term_and_no_influence(gaussian_pair: Imputer) -> None:
    """Rows behind a gap change nothing; windows whose targets are all missing have no likelihood."""
    gappy = rows()
    gappy[40, 0] = np.nan
    gappy[50:52] = np.nan
    found = terms(gaussian_pair, gappy)
    assert np.array_equal(np.isnan(found), np.broadcast_to(np.isnan(gappy), found.shape))
    likely = likelihoods(gaussian_pair, gappy)
    assert np.flatnonzero(np.isnan(likely)).tolist() == [40, 50, 51]
    whole = likelihoods(gaussian_pair, rows())
    seen = ~np.isnan(likely)
    assert likely[seen] == pytest.approx(whole[seen], abs=1e-4)  # this model's rows are independent


def test_likelihood_is_per_cell(gaussian_pair: Imputer) -> None:
    """Windows with more hidden cells are comparable to those with fewer: the mean, not the sum."""
    scaled = rows(200)
    ends = np.arange(8, 200)
    few, many = (
        flow_log_likelihoods(gaussian_pair, scaled, forecast_mask(WINDOW, 2, hidden), ends, seed=0, probes=4)
        for hidden in (1, 6)
    )
    assert few.mean() == pytest.approx(many.mean(), abs=0.2)


def test_the_same_rows_have_the_same_density(gaussian_pair: Imputer) -> None:
    """Noise and probes follow from the seed, however the windows are batched."""
    scaled = rows()[:12]
    assert np.array_equal(terms(gaussian_pair, scaled), terms(gaussian_pair, scaled))
    assert terms(gaussian_pair, scaled, cells_at_once=1) == pytest.approx(terms(gaussian_pair, scaled), abs=1e-5)
    once = likelihoods(gaussian_pair, scaled)
    assert np.array_equal(likelihoods(gaussian_pair, scaled), once)
    assert likelihoods(gaussian_pair, scaled, cells_at_once=1) == pytest.approx(once, abs=1e-4)
