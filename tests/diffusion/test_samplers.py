"""Samplers against Gaussian data, whose optimal denoiser is known: D(x; σ) = μ + Σ (Σ + σ²I)⁻¹ (x - μ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.diffusion.samplers import (
    SAMPLERS,
    Noise,
    SamplerName,
    sample_ddim,
    sample_ddpm,
    sample_dpm_solver,
    sample_heun,
    sample_ode,
    sample_sde_ve,
    sample_sde_vp,
)
from tsdiff_monitor.diffusion.schedules import geometric_sigmas, karras_sigmas, vp_sigmas

MEAN = torch.tensor([1.0, -2.0, 0.5])
ROOT = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.3, 0.4]])
COVARIANCE = ROOT @ ROOT.T
NAMES = get_args(SamplerName)


def gaussian(mean: Tensor, covariance: Tensor) -> Callable[[Tensor, float], Tensor]:
    def optimal(x: Tensor, sigma: float) -> Tensor:
        noisy = covariance + sigma**2 * torch.eye(len(covariance))
        return mean + (x - mean) @ torch.linalg.solve(noisy, covariance)

    return optimal


def draws(shape: tuple[int, ...], seed: int = 0) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_reproduces_a_gaussian(name: SamplerName) -> None:
    """With the optimal denoiser of N(μ, Σ) samples have mean μ and covariance Σ, to 0.03 and 0.05 with 150 levels.

    Of 20,000 samples these are some four standard errors; the rest is the sampler's own error.
    """
    sampler = SAMPLERS[name]
    sigmas = sampler.schedule(150, sigma_min=0.01, sigma_max=80.0)
    noise = draws((20_000, 3))
    samples = sampler.sample(gaussian(MEAN, COVARIANCE), noise() * sigmas[0], sigmas, noise)
    assert torch.allclose(samples.mean(0), MEAN, atol=0.03)
    assert torch.allclose(samples.T.cov(), COVARIANCE, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_reproduces_a_conditional_gaussian(name: SamplerName) -> None:
    """With one coordinate given, the other two have the conditional mean and covariance (Schur complement)."""
    given = torch.tensor([2.0])
    gain = COVARIANCE[1:, :1] / COVARIANCE[0, 0]
    mean = MEAN[1:] + gain @ (given - MEAN[:1])
    covariance = COVARIANCE[1:, 1:] - gain @ COVARIANCE[:1, 1:]
    hidden = gaussian(mean, covariance)

    def optimal(x: Tensor, sigma: float) -> Tensor:
        return torch.cat([given.expand(len(x), 1), hidden(x[:, 1:], sigma)], 1)

    sampler = SAMPLERS[name]
    sigmas = sampler.schedule(150, sigma_min=0.01, sigma_max=80.0)
    noise = draws((20_000, 3))
    samples = sampler.sample(optimal, noise() * sigmas[0], sigmas, noise)
    assert torch.allclose(samples[:, 0], given, atol=1e-3)
    assert torch.allclose(samples[:, 1:].mean(0), mean, atol=0.03)
    assert torch.allclose(samples[:, 1:].T.cov(), covariance, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_one_level_gives_the_denoiser_itself(name: SamplerName) -> None:
    """A single step from σ to 0 gives D(x; σ): sampling and one-step scoring agree on what the model expects."""
    x = torch.tensor([[2.0, -1.0]])
    sampler = SAMPLERS[name]
    sigmas = sampler.schedule(1, sigma_max=3.0)
    samples = sampler.sample(lambda x, sigma: x / (1 + sigma**2), x, sigmas, draws((1, 2)))
    assert torch.allclose(samples, x / 10)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_noise_gives_the_same_samples(name: SamplerName) -> None:
    """All randomness comes from the noise passed in."""
    sampler = SAMPLERS[name]
    sigmas = sampler.schedule(6)
    first, again, other = (
        sampler.sample(gaussian(MEAN, COVARIANCE), torch.ones(5, 3) * 20, sigmas, draws((5, 3), seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name in {"heun", "ddim", "ode", "dpm_solver"})


def test_the_configuration_names_every_sampler() -> None:
    """The names that the configuration allows are the samplers that there are."""
    assert set(NAMES) == set(SAMPLERS) == set(get_args(DiffusionModelConfig.model_fields["sampler"].annotation))


def _errors(sample: Callable[..., Tensor], counts: tuple[int, ...]) -> list[float]:
    """Errors against the exact flow of N(0, 1), x(σ) ∝ √(1 + σ²), from σ = 10 to 0.1, for falling step lengths.

    It ends at the smallest level: the last step, to 0, is of first order in every sampler.
    """
    start = torch.tensor([3.0], dtype=torch.float64)
    exact = start * (1 + 0.1**2) ** 0.5 / (1 + 10.0**2) ** 0.5
    errors = []
    for steps in counts:
        sigmas = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        sigmas = 10.0 * (0.1 / 10.0) ** sigmas
        errors.append((sample(lambda x, sigma: x / (1 + sigma**2), start, sigmas) - exact).abs().item())
    return errors


@pytest.mark.parametrize(
    ("sample", "least", "most"),
    [
        pytest.param(lambda d, x, s: sample_ddim(d, x, s, draws((1,))) * (1 + 0.1**2) ** 0.5, 1.8, 2.2, id="ddim"),
        pytest.param(sample_heun, 3.5, 4.5, id="heun"),
        pytest.param(sample_dpm_solver, 3.5, 4.6, id="dpm_solver"),
        pytest.param(sample_ode, 14, 18, id="ode"),
    ],
)
def test_order_of_convergence(sample: Callable[..., Tensor], least: float, most: float) -> None:
    """Halving the steps halves DDIM's error, quarters Heun's and DPM-Solver++'s, and divides Runge-Kutta's by 16."""
    errors = _errors(sample, (64, 128, 256))
    assert least < errors[0] / errors[1] < most
    assert least < errors[1] / errors[2] < most


def test_ddim_with_noise_is_ddpm() -> None:
    """DDIM's η goes from the deterministic flow (0) to DDPM's ancestral sampler (1), draw by draw the same."""
    sigmas = vp_sigmas(50)
    start = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)) * sigmas[0]
    optimal = gaussian(MEAN, COVARIANCE)
    implicit = sample_ddim(optimal, start, sigmas, draws((7, 3)), eta=1.0)
    ancestral = sample_ddpm(optimal, start, sigmas, draws((7, 3)))
    assert torch.allclose(implicit, ancestral, atol=1e-4)


@pytest.mark.parametrize("sample", [sample_sde_ve, sample_sde_vp])
def test_corrections_bring_the_sde_closer(sample: Callable[..., Tensor]) -> None:
    """Langevin corrections at every level leave less error in the covariance than as few levels without them."""
    sigmas = karras_sigmas(12, sigma_min=0.01, sigma_max=80.0)
    errors = []
    for corrections in (0, 10):
        noise = draws((20_000, 3))
        samples = sample(
            gaussian(MEAN, COVARIANCE), noise() * sigmas[0], sigmas, noise,
            corrections=corrections, signal_to_noise=0.3,
        )  # fmt: skip
        errors.append((samples.T.cov() - COVARIANCE).abs().max().item())
    assert errors[1] < errors[0] / 2


def test_flow_samplers_agree() -> None:
    """Heun, DPM-Solver++, Runge-Kutta and DDIM follow the same flow: from the same noise to the same sample."""
    sigmas = geometric_sigmas(400)
    start = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * sigmas[0]
    optimal = gaussian(MEAN, COVARIANCE)
    heun = sample_heun(optimal, start, sigmas)
    assert torch.allclose(sample_dpm_solver(optimal, start, sigmas), heun, atol=2e-3)
    assert torch.allclose(sample_ode(optimal, start, sigmas), heun, atol=2e-3)
    assert torch.allclose(sample_ddim(optimal, start, sigmas, draws((5, 3))), heun, atol=3e-2)
