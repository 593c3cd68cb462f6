"""The flow's likelihood against that of Gaussian data, in closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.methods.likelihood import flow_log_likelihood, hutchinson, rademacher
from tsdiff_monitor.diffusion.schedules import geometric_sigmas

MEAN = torch.tensor([0.5, -1.0, 0.3, 0.0], dtype=torch.float64)
ROOT = torch.tensor(
    [[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0], [-0.5, 0.3, 0.4, 0.0], [0.1, 0.2, 0.3, 0.5]], dtype=torch.float64
)
COVARIANCE = ROOT @ ROOT.T
LEAST = 0.01


def denoise(x: Tensor, sigma: float) -> Tensor:
    noisy = COVARIANCE + sigma**2 * torch.eye(4, dtype=torch.float64)
    return MEAN + (x - MEAN) @ torch.linalg.solve(noisy, COVARIANCE)


def points() -> Tensor:
    """From the middle of the distribution to twice its width."""
    return MEAN + 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ ROOT.T


def exact(x: Tensor) -> Tensor:
    noisy = COVARIANCE + LEAST**2 * torch.eye(4, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(MEAN, noisy).log_prob(x)


def sigmas(steps: int) -> np.ndarray:
    return geometric_sigmas(steps + 1, sigma_min=LEAST, sigma_max=5000.0).astype(np.float64)


def exact_divergence(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The reference: one derivative for each coordinate."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        divergence = torch.zeros(len(x), dtype=x.dtype)
        for d in range(x.shape[1]):
            (slope,) = torch.autograd.grad(value[:, d].sum(), x, retain_graph=True)
            divergence += slope[:, d]
    return value.detach(), divergence


def test_exact_trace_gives_the_exact_likelihood() -> None:
    """With the optimal denoiser of N(μ, Σ) ln p(x) is right to 0.01 nats, wherever the point lies."""
    x = points()
    assert flow_log_likelihood(denoise, x, sigmas(100), exact_divergence) == pytest.approx(exact(x), abs=0.01)


def test_hutchinson_is_unbiased() -> None:
    """Over all 16 signs of four coordinates, hence in expectation, the estimate is the exact likelihood."""
    x = points()[:5]
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 4)[:, None]
    assert flow_log_likelihood(denoise, x, sigmas(60), hutchinson(every)) == pytest.approx(exact(x), abs=0.05)


def test_the_flow_is_of_fourth_order() -> None:
    """Halving the steps divides the error by about 16, so few steps are enough."""
    x = points()
    errors = [
        (flow_log_likelihood(denoise, x, sigmas(steps), exact_divergence) - exact(x)).abs().mean().item()
        for steps in (20, 40)
    ]
    assert 10 < errors[0] / errors[1] < 24


def test_conditional_likelihood_counts_the_hidden_cells_alone() -> None:
    """With given cells ln p is that of the others given them; the given ones neither move nor count."""
    gain = COVARIANCE[2:, :2] @ COVARIANCE[:2, :2].inverse()
    covariance = COVARIANCE[2:, 2:] - gain @ COVARIANCE[:2, 2:]
    x = points()
    mean = MEAN[2:] + (x[:, :2] - MEAN[:2]) @ gain.T

    def conditional(x: Tensor, sigma: float) -> Tensor:
        solved = torch.linalg.solve(covariance + sigma**2 * torch.eye(2, dtype=torch.float64), covariance)
        return torch.cat([x[:, :2], mean + (x[:, 2:] - mean) @ solved], 1)

    hidden = torch.tensor([[False, False, True, True]])
    found = flow_log_likelihood(conditional, x, sigmas(100), exact_divergence, cells=hidden)
    noisy = covariance + LEAST**2 * torch.eye(2, dtype=torch.float64)
    wanted = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), noisy).log_prob(
        x[:, 2:] - mean
    )
    assert found == pytest.approx(wanted, abs=0.01)


def test_the_end_of_the_flow_may_keep_the_datas_variance() -> None:
    """Naming the data's deviation makes a short flow exact: N(0, 1) from σ = 0.01 to 5 only."""

    def standard(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    x = points()
    short = geometric_sigmas(60, sigma_min=LEAST, sigma_max=5.0).astype(np.float64)
    found = flow_log_likelihood(standard, x, short, exact_divergence, sigma_data=1.0)
    wanted = torch.distributions.Normal(0.0, (1 + LEAST**2) ** 0.5).log_prob(x).sum(1)
    assert found == pytest.approx(wanted, abs=1e-3)
    assert flow_log_likelihood(standard, x, short, exact_divergence) != pytest.approx(wanted, abs=1e-2)


def test_divergences_of_a_linear_map() -> None:
    """The divergence of x ↦ Ax is tr A; one Rademacher probe is exact where A is diagonal."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(3, 3, generator=generator)
    x = torch.randn(4, 3, generator=generator)
    value, divergence = exact_divergence(lambda x: x @ A.T, x)
    assert torch.allclose(value, x @ A.T)
    assert torch.allclose(divergence, A.trace().expand(4))
    probe = rademacher(1, 4, 3, generator=generator)
    assert set(probe.flatten().tolist()) == {-1.0, 1.0}
    assert torch.allclose(hutchinson(probe)(lambda x: x * A.diag(), x)[1], A.trace().expand(4))
