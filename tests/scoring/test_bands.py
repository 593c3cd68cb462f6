from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.samplers import SamplerName
from tsdiff_monitor.scoring.bands import sample_band

WINDOW = 8
NAMES = get_args(SamplerName)
HIDDEN = np.array([True, False])


def rows(T: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    given = rng.normal(size=T)
    return np.stack([0.8 * given + 0.6 * rng.normal(size=T), given], 1).astype(np.float32)


def band(
    imputer: Imputer,
    scaled: np.ndarray,
    *,
    sampler: SamplerName = "heun",
    steps: int = 6,
    samples: int = 64,
    **given: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sample_band(
        imputer, scaled, HIDDEN,
        window=WINDOW, rows=(0, len(scaled)), read=4, samples=samples, band=0.8, seed=0,
        sampler=sampler, sampler_steps=steps, **given,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_bands_are_the_conditional_quantiles(gaussian_pair: Imputer, name: SamplerName) -> None:
    """Every sampler's median and band are those of N(ρ y, 1 - ρ²) given y, to 0.08, averaged over rows."""
    scaled = rows(16)
    middle, lower, upper = band(gaussian_pair, scaled, sampler=name, steps=150, samples=512)
    half = 1.2816 * 0.6  # the 90 % quantile of the normal law
    assert np.abs(middle[:, 0] - 0.8 * scaled[:, 1]).mean() < 0.06
    assert (upper - middle)[:, 0].mean() == pytest.approx(half, abs=0.08)
    assert (middle - lower)[:, 0].mean() == pytest.approx(half, abs=0.08)
    assert np.isnan(middle[:, 1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_have_the_same_band(gaussian_pair: Imputer, name: SamplerName) -> None:
    """Noise follows from the seed, however the windows are batched, and is the same in every window."""
    scaled = rows()
    once, again, few = (
        band(gaussian_pair, scaled, sampler=name),
        band(gaussian_pair, scaled, sampler=name),
        band(gaussian_pair, scaled, sampler=name, cells_at_once=1),
    )
    assert np.array_equal(once, again, equal_nan=True)
    assert np.array(few)[:, :, 0] == pytest.approx(np.array(once)[:, :, 0], abs=1e-4)
    repeated = np.concatenate([scaled[:8], scaled[:8]])
    middle, *_ = band(gaussian_pair, repeated, sampler=name)
    assert middle[8:, 0] == pytest.approx(middle[:8, 0], abs=1e-4)


def test_bands_widen_where_given_metrics_have_gaps(gaussian_pair: Imputer) -> None:
    """Without the metric that predicts it, the hidden one is less certain."""
    gappy = rows()
    gappy[8:12, 1] = np.nan
    _, lower, upper = band(gaussian_pair, gappy, sampler="dpm_solver", steps=20, samples=512)
    width = (upper - lower)[:, 0]
    assert width[8:12].mean() == pytest.approx(width[20:].mean() / 0.6, rel=0.1)


def test_samplers_and_steps_are_chosen(gaussian_pair: Imputer) -> None:
    """Each sampler, and each number of steps, gives a band of its own; six steps of Heun are the default."""
    scaled = rows(8)
    bands = [band(gaussian_pair, scaled, sampler=name)[1][:, 0] for name in NAMES]
    bands.append(band(gaussian_pair, scaled, steps=7)[1][:, 0])
    assert all(not np.allclose(a, b, atol=1e-5) for i, a in enumerate(bands) for b in bands[:i])
    default = sample_band(
        gaussian_pair, scaled, HIDDEN, window=WINDOW, rows=(0, 8), read=4, samples=64, band=0.8, seed=0
    )
    assert np.array_equal(default[1][:, 0], bands[0])
