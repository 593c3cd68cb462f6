from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tsdiff_monitor.diffusion.denoiser import AnyMetrics
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.masks import metric_mask
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.diffusion.training import TrainingPlan, train
from tsdiff_monitor.diffusion.two_way import TwoWayNetwork

WINDOW = 16


def _network(patch: int = 4, *, window: int = WINDOW, layers: int = 2) -> TwoWayNetwork:
    """A network whose last layer is not zero, as it is before the first training step."""
    torch.manual_seed(0)
    network = TwoWayNetwork(window=window, patch=patch, width=32, layers=layers)
    torch.nn.init.normal_(network.out.weight, std=0.5)
    return network.eval()


def _inputs(metrics: int, *, batch: int = 3, window: int = WINDOW) -> dict[str, Tensor]:
    """Half of the cells hidden, a tenth missing."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch, window, metrics)
    draw = torch.rand(shape, generator=generator)
    return {
        "noisy": torch.randn(shape, generator=generator),
        "c_noise": torch.randn(batch, generator=generator),
        "given": torch.randn(shape, generator=generator),
        "target_mask": draw < 0.5,
        "given_mask": draw > 0.6,
    }


def _take(inputs: dict[str, Tensor], columns: Tensor) -> dict[str, Tensor]:
    return {name: x[..., columns] if x.ndim == 3 else x for name, x in inputs.items()}


@torch.no_grad()
@pytest.mark.parametrize("patch", [1, 4, 16])
def test_permuting_metrics_permutes_the_answer(patch: int) -> None:
    """No parameter belongs to a metric: their order has no meaning, for any patches."""
    network, inputs = _network(patch), _inputs(7)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(network(**_take(inputs, order)), network(**inputs)[..., order], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("metrics", [1, 2, 900])
def test_any_number_of_metrics(metrics: int) -> None:
    """The same weights serve one metric and 900."""
    out = _network()(**_inputs(metrics))
    assert out.shape == (3, WINDOW, metrics)
    assert out.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("window", [8, 15, 17])
def test_windows_that_no_patch_divides(window: int) -> None:
    """Rows that complete the first patch count as missing; every row is answered."""
    out = _network(window=window)(**_inputs(3, window=window))
    assert out.shape == (3, window, 3)
    assert out.isfinite().all()


@torch.no_grad()
def test_values_outside_of_their_masks_have_no_influence() -> None:
    """Missing cells may hold anything, hidden ones any value, and given ones any noise."""
    network, inputs = _network(), _inputs(5)
    spoilt = dict(inputs)
    spoilt["noisy"] = torch.where(inputs["target_mask"], inputs["noisy"], 1e6)
    spoilt["given"] = torch.where(inputs["given_mask"], inputs["given"], -1e6)
    assert torch.equal(network(**spoilt), network(**inputs))


@torch.no_grad()
def test_a_metric_that_is_missing_is_as_if_it_were_not_there() -> None:
    """The others are answered the same with a wholly missing metric and without it."""
    network, inputs = _network(), _inputs(5)
    for mask in ("target_mask", "given_mask"):
        inputs[mask][..., 2] = False
    rest = torch.tensor([0, 1, 3, 4])
    torch.testing.assert_close(network(**inputs)[..., rest], network(**_take(inputs, rest)), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_window_without_any_value_is_answered() -> None:
    """Nothing given and nothing hidden still gives numbers, in that window and in those beside it."""
    network, inputs = _network(), _inputs(3)
    for mask in ("target_mask", "given_mask"):
        inputs[mask][1] = False
    assert network(**inputs).isfinite().all()


def test_only_a_network_that_says_so_takes_any_number_of_metrics() -> None:
    """An imputer may be given padded windows where its network is for any number of metrics, and no other."""
    two_way = TwoWayNetwork(window=8, patch=4, width=32, layers=1)
    tied = TimeTokenNetwork(3, window=8, width=32, layers=1)
    assert isinstance(two_way, AnyMetrics) and not isinstance(tied, AnyMetrics)
    assert Imputer(two_way, Preconditioner()).any_metrics
    assert not Imputer(tied, Preconditioner()).any_metrics


def test_every_parameter_learns() -> None:
    """The gradient of the answer reaches all weights."""
    network = _network()
    network(**_inputs(4)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_learns_that_metrics_go_together_and_carries_it_to_a_larger_group() -> None:
    """Fit on five metrics that are the same noise, it infers a hidden one from the others — and one of fifty."""
    window = 8
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(2000, 1)).astype(np.float32))
    torch.manual_seed(0)
    imputer = Imputer(TwoWayNetwork(window=window, patch=4, width=32, layers=1), Preconditioner())
    generator = torch.Generator().manual_seed(0)
    plan = TrainingPlan(steps=200, batch=32, learning_rate=5e-3)
    rows, starts = noise[:1500].expand(-1, 5), torch.arange(1400)
    train(imputer, rows, starts, window=window, plan=plan, generator=generator)
    fresh = noise[1500:].unfold(0, window, window).transpose(1, 2)  # [B, L, 1]
    sigma = torch.full((len(fresh),), 20.0)
    for metrics in (5, 50):
        windows = fresh.expand(-1, -1, metrics).contiguous()
        target = torch.from_numpy(metric_mask(window, np.arange(metrics) == 0))
        noisy = 20.0 * torch.randn(windows.shape, generator=generator)
        with torch.no_grad():
            denoised = imputer.denoise(noisy, sigma, windows, target)
        error = (denoised - windows)[..., 0].square().mean()
        assert error < 0.5 * windows.var()
