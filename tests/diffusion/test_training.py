from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.masks import gratings
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.diffusion.training import TrainingGroup, TrainingPlan, train, train_shared
from tsdiff_monitor.diffusion.two_way import TwoWayNetwork

WINDOW = 16
PLAN = TrainingPlan(steps=30, batch=32)


def _imputer(metrics: int = 2) -> Imputer:
    torch.manual_seed(0)
    return Imputer(TimeTokenNetwork(metrics, window=WINDOW, width=32, layers=1), Preconditioner())


def _sine(rows: int = 600) -> torch.Tensor:
    t = np.arange(rows)
    x = np.sqrt(2) * np.stack([np.sin(t / 5), np.cos(t / 5)], 1)
    return torch.tensor(x, dtype=torch.float32)


def _train(imputer: Imputer, rows: torch.Tensor, plan: TrainingPlan, seed: int = 0, **hooks: object) -> int:
    starts = torch.arange(len(rows) - WINDOW + 1)
    generator = torch.Generator().manual_seed(seed)
    return train(imputer, rows, starts, window=WINDOW, plan=plan, generator=generator, **hooks)  # type: ignore[arg-type]


def _imputation_error(imputer: Imputer, rows: torch.Tensor) -> float:
    windows = rows.unfold(0, WINDOW, WINDOW).transpose(1, 2)
    mask = torch.from_numpy(gratings(WINDOW, rows.shape[1], 4)[0])
    noise = torch.randn(windows.shape, generator=torch.Generator().manual_seed(9)) * 20
    with torch.no_grad():
        denoised = imputer.denoise(noise, torch.full((len(windows),), 20.0), windows, mask)
    return float(((denoised - windows) ** 2)[:, mask].mean())


def test_same_seed_same_weights() -> None:
    """Training is a function of data and seed: the same ones give the same weights, another seed others."""
    weights = []
    for seed in (7, 7, 8):
        imputer = _imputer()
        _train(imputer, _sine(), PLAN, seed)
        weights.append(torch.cat([p.flatten() for p in imputer.network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_imputation_improves() -> None:
    """On sines the error of imputing hidden rows falls far below that of knowing nothing (1)."""
    imputer, rows = _imputer(), _sine()
    before = _imputation_error(imputer, rows)
    steps = _train(imputer, rows, TrainingPlan(steps=400, batch=32, learning_rate=5e-3))
    assert steps == 400
    assert before > 0.9
    assert _imputation_error(imputer, rows) < 0.5 * before


def test_budget_ends_training_early() -> None:
    """Once the clock passes the budget, training stops after the step at hand and says how many it took."""
    ticks = itertools.count(0, 10)
    plan = TrainingPlan(steps=30, batch=8, budget_seconds=45.0)
    assert _train(_imputer(), _sine(), plan, clock=lambda: float(next(ticks))) == 5


def test_progress_is_reported_after_each_step() -> None:
    """The caller learns of every step done, out of the steps planned."""
    seen: list[tuple[int, int]] = []
    _train(_imputer(), _sine(), TrainingPlan(steps=4, batch=8), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_gaps_in_the_history_are_survived() -> None:
    """Missing cells, rows and metrics give finite weights: nothing is learned from what is not there."""
    rows = _sine()
    rows[100:300] = torch.nan
    rows[:, 1] = torch.nan
    imputer = _imputer()
    _train(imputer, rows, PLAN)
    assert all(p.isfinite().all() for p in imputer.network.parameters())


def test_the_worst_windows_are_trimmed() -> None:
    """An outlying window in every batch changes nothing at all when its share is trimmed."""
    weights = []
    for spike in (50.0, 80.0):
        imputer, rows = _imputer(), _sine(WINDOW * 8)
        rows[-WINDOW:] = spike
        starts = torch.arange(0, len(rows), WINDOW)
        plan = TrainingPlan(steps=5, batch=16, trim=0.5, gaps=0.0)
        train(imputer, rows, starts, window=WINDOW, plan=plan, generator=torch.Generator().manual_seed(0))
        weights.append(torch.cat([p.flatten() for p in imputer.network.parameters()]))
    assert torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("steps", [1, 3])
def test_few_steps_are_enough_to_run(steps: int) -> None:
    """The schedule of the learning rate holds for any number of steps."""
    assert _train(_imputer(), _sine(), TrainingPlan(steps=steps, batch=4)) == steps


def _groups(*metrics: int) -> list[TrainingGroup]:
    rows = [_sine().repeat(1, K)[:, :K] for K in metrics]
    return [TrainingGroup(one, torch.arange(len(one) - WINDOW + 1)) for one in rows]


def _two_way() -> Imputer:
    torch.manual_seed(0)
    return Imputer(TwoWayNetwork(window=WINDOW, patch=WINDOW, width=32, layers=1), Preconditioner())


def test_one_network_learns_from_groups_of_any_size() -> None:
    """Groups of 1, 2 and 5 metrics teach one network, which then imputes a group of 3 that it has never seen."""
    imputer = _two_way()
    plan = TrainingPlan(steps=300, batch=32, learning_rate=5e-3)
    generator = torch.Generator().manual_seed(0)
    assert train_shared(imputer, _groups(1, 2, 5), window=WINDOW, plan=plan, generator=generator) == 300
    assert _imputation_error(imputer, _groups(3)[0].rows) < 0.5


def test_batches_of_shared_training_are_bounded() -> None:
    """A group of very many metrics is shown in parts, of no more than 128; of others half of the batches are parts."""
    seen: dict[int, list[int]] = {8: [], 300: []}
    for metrics, sizes in seen.items():
        imputer = _two_way()
        imputer.network.register_forward_pre_hook(lambda _, given, sizes=sizes: sizes.append(given[0].shape[2]))
        plan = TrainingPlan(steps=20, batch=2)
        train_shared(imputer, _groups(metrics), window=WINDOW, plan=plan, generator=torch.Generator().manual_seed(0))
    assert max(seen[300]) == 128
    assert 5 <= seen[8].count(8) <= 18
    assert min(seen[8]) >= 2
