from __future__ import annotations

import numpy as np
import pytest
import torch

from tsdiff_monitor.diffusion.batching import windows_at_once
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.diffusion.network import TimeTokenNetwork
from tsdiff_monitor.diffusion.precondition import Preconditioner
from tsdiff_monitor.scoring.bands import sample_band
from tsdiff_monitor.scoring.plan import ScoringPlan, batch_plan, forecast_plan, stream_plan
from tsdiff_monitor.scoring.reconstruction import residuals, row_score

WINDOW, K = 16, 3


@pytest.fixture(scope="module")
def imputer() -> Imputer:
    torch.manual_seed(0)
    network = TimeTokenNetwork(K, window=WINDOW, width=32, layers=1)
    torch.nn.init.normal_(network.out.weight, std=0.1)
    return Imputer(network.eval(), Preconditioner())


@pytest.fixture(scope="module")
def scaled() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, K)).astype(np.float32)


def _plan(name: str, window: int = WINDOW) -> ScoringPlan:
    plans = (
        stream_plan(window, K, sigma=2.0, seed=0),
        batch_plan(window, K, sigma=2.0),
        forecast_plan(window, K, sigma=20.0),
    )
    return next(plan for plan in plans if plan.name == name)


def _squared(imputer: Imputer, scaled: np.ndarray, name: str, first: int = 0, **batch: int) -> np.ndarray:
    return residuals(imputer, scaled, _plan(name), window=WINDOW, first=first, seed=0, **batch)[0]


@pytest.mark.parametrize("name", ["stream", "batch", "forecast"])
@pytest.mark.parametrize("T", [1, 2, 5, 15, 16, 17, 31, 40, 90])
def test_every_row_is_scored(imputer: Imputer, scaled: np.ndarray, name: str, T: int) -> None:
    """However long the frame and wherever scoring begins, each observed cell has a residual: no edge is left out."""
    for first in {0, T // 2, T - 1, T}:
        squared = _squared(imputer, scaled[:T], name, first)
        assert squared.shape == (T - first, K)
        assert np.isfinite(squared).all()


@pytest.mark.parametrize("window", [8, 10, 15, 33])
@pytest.mark.parametrize("name", ["stream", "batch", "forecast"])
def test_plans_hide_each_cell_they_read(window: int, name: str) -> None:
    """For any window a plan's masks together hide every cell of the rows it reads."""
    plan = _plan(name, window)
    assert np.stack(plan.masks).any(0)[-plan.read :].all()
    assert plan.stride <= plan.read


def test_streaming_equals_scoring_at_once(imputer: Imputer, scaled: np.ndarray) -> None:
    """A row scored when it arrives, with one window of context, gets the residuals it gets in a backtest."""
    at_once = _squared(imputer, scaled, "stream", WINDOW)
    one_by_one = [_squared(imputer, scaled[t - WINDOW + 1 : t + 1], "stream", WINDOW - 1) for t in range(WINDOW, 90)]
    assert np.concatenate(one_by_one) == pytest.approx(at_once, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["stream", "batch", "forecast"])
def test_result_does_not_depend_on_the_batch(imputer: Imputer, scaled: np.ndarray, name: str) -> None:
    """Bounding the memory changes nothing but the time it takes."""
    many, few = (_squared(imputer, scaled, name, cells_at_once=cells) for cells in (4_000_000, 1))
    assert few == pytest.approx(many, rel=1e-4, abs=1e-7)


def test_bands_do_not_depend_on_the_batch(imputer: Imputer, scaled: np.ndarray) -> None:
    """The same for bands."""
    hidden = np.array([True, False, True])
    many, few = (
        sample_band(
            imputer, scaled, hidden,
            window=WINDOW, rows=(3, 41), read=4, samples=8, band=0.9, seed=0, cells_at_once=cells,
        )
        for cells in (4_000_000, 1)
    )  # fmt: skip
    for a, b in zip(many, few, strict=True):
        assert np.isfinite(a[:, hidden]).all()
        assert np.isnan(a[:, ~hidden]).all()
        assert b[:, hidden] == pytest.approx(a[:, hidden], rel=1e-3, abs=1e-5)


def test_batches_are_bounded_and_never_empty() -> None:
    """Memory follows the activations of the network: few metrics do not make huge batches, many still make one."""
    assert windows_at_once(64, 1) == windows_at_once(64, 128) < 1000
    assert windows_at_once(64, 900) < windows_at_once(64, 128)
    assert windows_at_once(1024, 10_000) == 1


def test_missing_cells_have_no_residual_and_no_influence(imputer: Imputer, scaled: np.ndarray) -> None:
    """A missing cell has no residual, and what a residual is does not depend on what lies behind gaps or before."""
    gappy = scaled.copy()
    gappy[40:50, 1] = np.nan
    gappy[60] = np.nan
    for name in ("stream", "batch", "forecast"):
        squared = _squared(imputer, gappy, name)
        assert np.array_equal(np.isnan(squared), np.isnan(gappy))
    padded = np.concatenate([np.full((WINDOW, K), np.nan, np.float32), gappy])
    assert np.array_equal(
        _squared(imputer, padded, "stream", WINDOW), _squared(imputer, gappy, "stream"), equal_nan=True
    )


def test_targets_that_are_missing_are_not_shown(scaled: np.ndarray) -> None:
    """No missing cell is given to the network as a noisy 0: its masks leave missing cells out, as in training."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Spy(torch.nn.Module):
        def forward(
            self, noisy: torch.Tensor, c_noise: torch.Tensor, given: torch.Tensor, t: torch.Tensor, g: torch.Tensor
        ) -> torch.Tensor:
            seen.append((noisy, t | g))
            return torch.zeros_like(noisy)

    gappy = scaled.copy()
    gappy[30:] = np.nan
    _squared(Imputer(Spy(), Preconditioner()), gappy[:31], "batch", 20)
    for noisy, known in seen:
        assert not known[:, -1].any()
        assert (noisy[~known] == 0).all()


def test_blind_plan_never_sees_the_hidden_value(imputer: Imputer, scaled: np.ndarray) -> None:
    """The expected value of the newest row does not depend on it, nor on the row before it, which is hidden too."""
    changed = scaled.copy()
    changed[-2:] = 1e4
    expected = []
    for x in (scaled, changed):
        _, signed = residuals(imputer, x, _plan("forecast"), window=WINDOW, first=89, seed=0)
        expected.append(x[89:] - signed)
    assert expected[1] == pytest.approx(expected[0], abs=2e-3)


def test_row_score_counts_missing_cells_as_normal() -> None:
    """Missing cells count as 1, rows without a value have no score, inactive metrics no say."""
    contribution = np.array([[4.0, np.nan, 9.0], [np.nan, np.nan, 9.0], [0.0, 2.0, 9.0]])
    score = row_score(contribution, np.array([True, True, False]))
    assert score[[0, 2]].tolist() == [2.5, 1.0]
    assert np.isnan(score[1])
    assert np.isnan(row_score(contribution, np.zeros(3, dtype=bool))).all()
