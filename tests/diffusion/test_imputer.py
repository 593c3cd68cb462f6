from __future__ import annotations

import numpy as np
import pytest
import torch

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.masks import metric_mask
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.diffusion.training_masks import random_masks

B, L, K = 4, 16, 3


@pytest.fixture
def imputer() -> Imputer:
    """A network whose last layer is not zero, so that its output depends on all it is shown."""
    torch.manual_seed(0)
    network = TimeTokenNetwork(K, window=L, width=32, layers=1)
    torch.nn.init.normal_(network.out.weight)
    return Imputer(network.eval(), Preconditioner())


@pytest.fixture
def windows() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, L, K, generator=generator)
    x[torch.rand(x.shape, generator=generator) < 0.2] = torch.nan
    return x


def _noisy(seed: int) -> torch.Tensor:
    return torch.randn(B, L, K, generator=torch.Generator().manual_seed(seed))


def test_hidden_values_are_never_conditioned_on(imputer: Imputer, windows: torch.Tensor) -> None:
    """Changing what lies behind the mask changes nothing: the model sees targets only through their noisy version."""
    target = random_masks(B, L, K, torch.Generator().manual_seed(2))
    changed = torch.where(target & ~windows.isnan(), torch.tensor(1e3), windows)
    before = imputer.denoise(_noisy(3), torch.full((B,), 2.0), windows, target)
    after = imputer.denoise(_noisy(3), torch.full((B,), 2.0), changed, target)
    assert torch.equal(before, after)


def test_noise_of_cells_that_are_no_target_is_never_read(imputer: Imputer, windows: torch.Tensor) -> None:
    """Missing cells outside of the targets are not given at all, not even as noise."""
    target = random_masks(B, L, K, torch.Generator().manual_seed(2))
    noisy = torch.where(target, _noisy(3), _noisy(4))
    before = imputer.denoise(_noisy(3), torch.full((B,), 2.0), windows, target)
    after = imputer.denoise(noisy, torch.full((B,), 2.0), windows, target)
    assert torch.equal(before, after)


def test_given_values_are_conditioned_on(imputer: Imputer, windows: torch.Tensor) -> None:
    """The counterpart: a given value does change what is expected of the hidden ones."""
    target = torch.from_numpy(metric_mask(L, np.array([True, False, False])))
    before = imputer.denoise(_noisy(3), torch.ones(B), windows, target)
    after = imputer.denoise(_noisy(3), torch.ones(B), windows + 1, target)
    assert not torch.allclose(before[:, :, 0], after[:, :, 0])


def test_given_values_are_unchanged(imputer: Imputer, windows: torch.Tensor) -> None:
    """Given values come back as they are, and every cell has a value."""
    target = random_masks(B, L, K, torch.Generator().manual_seed(2))
    denoised = imputer.denoise(_noisy(3), torch.ones(B), windows, target)
    given = ~target & ~windows.isnan()
    assert torch.equal(denoised[given], windows[given])
    assert not denoised.isnan().any()


def test_untrained_network_answers_with_the_prior() -> None:
    """Before training D(x; σ) = c_skip x, the best linear guess for data of unit variance given nothing."""
    imputer = Imputer(TimeTokenNetwork(K, window=L, width=32, layers=1), Preconditioner())
    everything = torch.ones(L, K, dtype=torch.bool)
    noisy = _noisy(0)
    denoised = imputer.denoise(noisy, torch.full((B,), 2.0), torch.zeros(B, L, K), everything)
    assert torch.allclose(denoised, noisy / 5)


@pytest.mark.parametrize("width", [16, 24, 40, 72, 104, 200])
def test_any_configurable_width_works(width: int) -> None:
    """Every multiple of 8 that the configuration allows makes a network, no matter what it divides by."""
    network = TimeTokenNetwork(K, window=L, width=width, layers=1)
    mask = torch.ones(1, L, K, dtype=torch.bool)
    assert network(torch.zeros(1, L, K), torch.zeros(1), torch.zeros(1, L, K), mask, ~mask).shape == (1, L, K)
