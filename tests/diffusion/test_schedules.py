from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.diffusion.schedules import (
    Schedule,
    alpha_bar_of,
    geometric_sigmas,
    karras_sigmas,
    sigma_of,
    vp_sigmas,
)


@pytest.mark.parametrize("schedule", [karras_sigmas, geometric_sigmas, vp_sigmas])
@given(steps=st.integers(1, 60), low=st.floats(1e-2, 0.5), high=st.floats(1, 100))
def test_sigmas_fall_from_max_to_min_to_zero(schedule: Schedule, steps: int, low: float, high: float) -> None:
    """Noise levels begin at the largest, fall strictly, end at the smallest and then 0."""
    sigmas = schedule(steps, sigma_min=low, sigma_max=high)
    assert sigmas.dtype == np.float32
    assert len(sigmas) == steps + 1
    assert sigmas[0].item() == pytest.approx(high, rel=1e-4)
    assert sigmas[-1].item() == 0
    assert (np.diff(sigmas) < 0).all()
    if steps > 1:
        assert sigmas[-2].item() == pytest.approx(low, rel=1e-2)


@given(st.floats(1e-3, 1e3))
def test_both_ways_to_write_a_noise_level_agree(sigma: float) -> None:
    """σ to ᾱ and back is the same; the noisy value √ᾱ x₀ + √(1 - ᾱ) ε has deviation σ once divided by √ᾱ."""
    level = np.float64(sigma)
    alpha_bar = alpha_bar_of(level)
    assert sigma_of(alpha_bar) == pytest.approx(sigma, rel=1e-6)
    assert np.sqrt((1 - alpha_bar) / alpha_bar) == pytest.approx(sigma, rel=1e-6)


def test_geometric_levels_have_one_ratio() -> None:
    """Equal steps in ln σ."""
    sigmas = geometric_sigmas(9, sigma_min=0.01, sigma_max=100.0)[:-1]
    assert sigmas[1:] / sigmas[:-1] == pytest.approx(10**-0.5, rel=1e-4)


def test_vp_levels_are_even_in_time() -> None:
    """They are the levels of dx = -½βx dt + √β dw at equal distances of t: checked against β integrated by sums."""
    t = np.linspace(0, 1, 100_001)
    beta = 0.1 + t * 19.9
    integral = np.append(0.0, np.cumsum((beta[1:] + beta[:-1]) / 2) * 1e-5)
    sigma = np.sqrt(np.expm1(integral))
    sigmas = vp_sigmas(4, sigma_min=sigma[10_000].item(), sigma_max=sigma[-1].item())
    assert sigmas[:-1] == pytest.approx(sigma[[100_000, 70_000, 40_000, 10_000]], rel=1e-4)
