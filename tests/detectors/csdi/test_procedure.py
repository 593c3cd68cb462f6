from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tsdiff_monitor.detectors.csdi.network import CsdiNetwork
from tsdiff_monitor.detectors.csdi.procedure import Schedule, impute, q_sample, quadratic_betas, reference_masks

torch.set_num_threads(1)


def test_the_network_has_the_published_size() -> None:
    """At the paper's size it has the paper's 414 thousand parameters."""
    network = CsdiNetwork(38, window=100, channels=64, layers=4)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(414_000, rel=2e-3)


@torch.no_grad()
def test_the_network_reads_cells_within_their_masks_only() -> None:
    """A missing cell may hold anything; neither is a hidden cell's value seen, nor a shown cell's noise."""
    torch.manual_seed(0)
    network = CsdiNetwork(3, window=8, channels=16, layers=2).eval()
    nn.init.normal_(network.out.weight)
    noisy, shown = torch.randn(2, 2, 8, 3)
    draw = torch.rand(2, 8, 3)
    target, shown_mask = draw < 0.5, draw > 0.6
    out = network(noisy, torch.tensor([1, 7]), shown, target, shown_mask)
    spoilt = network(
        noisy.masked_fill(~target, 1e6), torch.tensor([1, 7]), shown.masked_fill(~shown_mask, 1e6), target, shown_mask
    )
    assert torch.equal(out, spoilt)
    assert out.std() > 0


def test_quadratic_schedule() -> None:
    """From 1e-4 to 0.5 in 50 steps, evenly in the square root: the middle of an uneven number of steps is known."""
    betas = quadratic_betas(50)
    assert len(betas) == 50
    assert betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.5])
    assert quadratic_betas(3)[1].item() == pytest.approx(((1e-4**0.5 + 0.5**0.5) / 2) ** 2)
    assert Schedule.quadratic(50).kept[-1] < 1e-3  # what is left of the data in the end


@pytest.mark.parametrize("step", [0, 20, 49])
def test_forward_process_keeps_unit_variance(step: int) -> None:
    """Data of variance 1 has variance 1 at every step, and correlates with its noised self by √ᾱ."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 1000, 100, generator=generator)
    kept = Schedule.quadratic(50).kept[step]
    noisy = q_sample(clean, kept[None], noise)
    assert noisy.var().item() == pytest.approx(1, abs=0.02)
    assert (noisy * clean).mean().item() == pytest.approx(kept.sqrt().item(), abs=0.02)


@pytest.mark.parametrize("window", [8, 100, 105])
def test_gratings_impute_every_cell_once(window: int) -> None:
    """The two masks are complementary, in bars of a tenth of the window."""
    first, second = reference_masks(window, 3)
    assert (first ^ second).all()
    assert first[: max(window // 10, 1)].all()


class _GaussianOptimum(nn.Module):
    """The noise that the best denoiser sees in data N(2, 0.25): E[ε | x] is linear in x."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.kept = schedule.kept

    def forward(self, noisy: Tensor, step: Tensor, shown: Tensor, target: Tensor, shown_mask: Tensor) -> Tensor:
        kept = self.kept[step][:, None, None]
        return (1 - kept).sqrt() * (noisy - kept.sqrt() * 2) / (0.25 * kept + 1 - kept)


def test_denoising_samples_the_data() -> None:
    """With the optimal network of a Gaussian, 50 steps end in its mean and nearly its deviation."""
    schedule = Schedule.quadratic(50)
    noise = torch.randn(52, 500, 8, 3, generator=torch.Generator().manual_seed(0))
    target = torch.ones(500, 8, 3, dtype=torch.bool)
    steps = list(impute(_GaussianOptimum(schedule), schedule, torch.zeros(500, 8, 3), target, noise, conditional=False))
    assert [h for h, _ in steps] == list(range(49, -1, -1))
    assert steps[-1][1].mean().item() == pytest.approx(2, abs=0.02)
    assert steps[-1][1].std().item() == pytest.approx(0.5, rel=0.1)


class _Recorder(nn.Module):
    """Keeps what it is shown at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, noisy: Tensor, step: Tensor, shown: Tensor, target: Tensor, shown_mask: Tensor) -> Tensor:
        self.seen.append(torch.where(shown_mask, shown, torch.nan))
        return torch.zeros_like(noisy)


@pytest.mark.parametrize("conditional", [True, False])
def test_what_is_shown_of_the_other_cells(conditional: bool) -> None:
    """CSDI shows the values themselves; ImDiffusion shows them under the noise of the step, almost nothing at first."""
    schedule, network = Schedule.quadratic(50), _Recorder()
    windows = torch.full((1, 1000, 2), 5.0)
    windows[0, 0, 0] = torch.nan
    target = torch.zeros(1, 1000, 2, dtype=torch.bool)
    target[..., 1] = True
    noise = torch.randn(52, 1, 1000, 2, generator=torch.Generator().manual_seed(0))
    list(impute(network, schedule, windows, target, noise, conditional=conditional))
    first, last = network.seen[0], network.seen[-1]
    assert (~first.isnan()).equal(~windows.isnan() & ~target)
    assert last.nanmean().item() == pytest.approx(5, abs=0.01)
    assert first.nanmean().item() == pytest.approx(5 if conditional else 5 * schedule.kept[-1].sqrt().item(), abs=0.1)
