from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tsdiff_monitor.diffusion.samplers import sample_heun
from tsdiff_monitor.diffusion.schedules import karras_sigmas


@given(st.integers(1, 60), st.floats(1e-3, 0.5), st.floats(1, 100), st.floats(1, 10))
def test_sigmas_fall_from_max_to_min_to_zero(steps: int, low: float, high: float, rho: float) -> None:
    """Noise levels begin at the largest, fall strictly, pass the smallest and end at 0."""
    sigmas = karras_sigmas(steps, sigma_min=low, sigma_max=high, rho=rho)
    assert len(sigmas) == steps + 1
    assert sigmas[0].item() == pytest.approx(high, rel=1e-4)
    assert sigmas[-1].item() == 0
    assert (sigmas.diff() < 0).all()
    if steps > 1:
        assert sigmas[-2].item() == pytest.approx(low, rel=1e-2)


def test_heun_reproduces_a_gaussian() -> None:
    """With the optimal denoiser of N(μ, Σ) in closed form, samples have mean μ and covariance Σ."""
    mean = torch.tensor([1.0, -2.0, 0.5])
    root = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.3, 0.4]])
    covariance = root @ root.T

    def optimal(x: Tensor, sigma: float) -> Tensor:
        return mean + (x - mean) @ torch.linalg.solve(covariance + sigma**2 * torch.eye(3), covariance)

    sigmas = karras_sigmas(40, sigma_min=0.01, sigma_max=80.0)
    start = torch.randn(40_000, 3, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    samples = sample_heun(optimal, start, sigmas)
    assert torch.allclose(samples.mean(0), mean, atol=0.05)
    assert torch.allclose(samples.T.cov(), covariance, atol=0.05)


def test_heun_is_of_second_order() -> None:
    """Halving the steps' size quarters the error against the exact flow of a Gaussian."""

    def optimal(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    start = torch.tensor([3.0], dtype=torch.float64)
    exact = start * (1 + 0.1**2) ** 0.5 / (1 + 10.0**2) ** 0.5
    errors = []
    for steps in (32, 64, 128):
        sigmas = karras_sigmas(steps, sigma_min=0.1, sigma_max=10.0).double()
        # Ended at the smallest noise level: the last step down to 0 is Euler's.
        partly = sample_heun(optimal, start, sigmas[:-1])
        errors.append((partly - exact).abs().item())
    assert 3 < errors[0] / errors[1] < 5
    assert 3 < errors[1] / errors[2] < 5


def test_one_step_is_the_denoiser_itself() -> None:
    """A single step from σ to 0 gives D(x; σ): sampling and one-step scoring agree on what the model expects."""
    x = torch.tensor([[2.0, -1.0]])
    assert torch.allclose(sample_heun(lambda x, sigma: x / (1 + sigma**2), x, karras_sigmas(1, sigma_max=3.0)), x / 10)
