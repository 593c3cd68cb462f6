from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner, sample_sigma

SIGMAS = st.floats(1e-3, 1e3)
DEVIATIONS = st.floats(0.05, 20)


@given(SIGMAS, DEVIATIONS)
def test_network_input_has_unit_variance(sigma: float, sigma_data: float) -> None:
    """At any noise level, Var[c_in (y + n)] = 1 for data y and noise n (Karras et al. 2022, appendix B.6)."""
    level = torch.tensor(sigma, dtype=torch.float64)
    variance = Preconditioner(sigma_data).c_in(level) ** 2 * (sigma_data**2 + sigma**2)
    assert variance.item() == pytest.approx(1)


@given(SIGMAS, DEVIATIONS)
def test_training_target_has_unit_variance(sigma: float, sigma_data: float) -> None:
    """At any noise level, Var[(y - c_skip (y + n)) / c_out] = 1, and the loss weight undoes c_out."""
    level, p = torch.tensor(sigma, dtype=torch.float64), Preconditioner(sigma_data)
    skip, out = p.c_skip(level), p.c_out(level)
    variance = ((1 - skip) ** 2 * sigma_data**2 + skip**2 * sigma**2) / out**2
    assert variance.item() == pytest.approx(1)
    assert (p.loss_weight(level) * out**2).item() == pytest.approx(1)


def test_unit_variance_on_drawn_data() -> None:
    """The same holds for drawn data: no factor is missing from the formulas above."""
    generator, p = torch.Generator().manual_seed(0), Preconditioner()
    y, n = torch.randn(2, 200_000, generator=generator)
    for sigma in (0.02, 0.5, 2.0, 80.0):
        level = torch.full_like(y, sigma)
        noisy = y + sigma * n
        assert (p.c_in(level) * noisy).var().item() == pytest.approx(1, rel=0.02)
        assert ((y - p.c_skip(level) * noisy) / p.c_out(level)).var().item() == pytest.approx(1, rel=0.02)


def test_training_noise_levels_are_log_normal() -> None:
    """ln σ has the mean and deviation asked for."""
    sigma = sample_sigma(100_000, mean=-0.5, deviation=1.5, generator=torch.Generator().manual_seed(1))
    assert sigma.log().mean().item() == pytest.approx(-0.5, abs=0.02)
    assert sigma.log().std().item() == pytest.approx(1.5, abs=0.02)


def test_shapes_are_executed() -> None:
    """The declared shapes are checked while tests run: a wrong one is an error, not a silent broadcast."""
    imputer = Imputer(TimeTokenNetwork(3, window=8, width=16, layers=1), Preconditioner())
    windows, target = torch.zeros(2, 8, 3), torch.zeros(8, 3, dtype=torch.bool)
    assert imputer.denoise(windows, torch.ones(2), windows, target).shape == (2, 8, 3)
    with pytest.raises(TypeCheckError):
        imputer.denoise(windows, torch.ones(3), windows, target)
