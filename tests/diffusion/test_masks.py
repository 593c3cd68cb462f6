from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_monitor.diffusion.masks import forecast_mask, gratings, metric_mask
from tsdiff_monitor.diffusion.training_masks import random_gaps, random_masks

WINDOWS = st.integers(8, 70)
METRICS = st.integers(1, 6)


@given(WINDOWS, METRICS, st.integers(1, 40))
def test_gratings_impute_every_cell_once(window: int, metrics: int, width: int) -> None:
    """Of the two gratings exactly one hides a cell, and whole rows are hidden."""
    first, second = gratings(window, metrics, width)
    assert (first ^ second).all()
    assert (first.all(1) | ~first.any(1)).all()


def test_grating_bars_are_as_wide_as_asked() -> None:
    """Bars of 2 rows alternate, beginning with a hidden one."""
    first, _ = gratings(8, 1, 2)
    assert first[:, 0].tolist() == [True, True, False, False, True, True, False, False]


def test_forecast_mask_hides_the_newest_rows() -> None:
    """Every metric of the newest rows is hidden, nothing before."""
    mask = forecast_mask(10, 3, 4)
    assert mask[6:].all()
    assert not mask[:6].any()


def test_metric_mask_hides_metrics_given_the_others() -> None:
    """The hidden metrics are hidden over the rows asked for (all by default); the others never."""
    hidden = np.array([True, False, True])
    assert np.array_equal(metric_mask(6, hidden), np.broadcast_to(hidden, (6, 3)))
    newest = metric_mask(6, hidden, rows=2)
    assert not newest[:4].any()
    assert np.array_equal(newest[4:], np.broadcast_to(hidden, (2, 3)))


@settings(max_examples=60, deadline=None)
@given(WINDOWS, METRICS, st.integers(0, 2**32 - 1))
def test_every_training_window_has_a_target(window: int, metrics: int, seed: int) -> None:
    """No window is drawn without a hidden cell: it would teach nothing."""
    masks = random_masks(64, window, metrics, torch.Generator().manual_seed(seed))
    assert masks.shape == (64, window, metrics)
    assert masks.flatten(1).any(1).all()


def test_random_masks_follow_the_generator() -> None:
    """The same seed draws the same masks and gaps, another one others."""
    draw = [random_masks(32, 16, 4, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    gaps = [random_gaps(32, 16, 4, 0.5, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    for one in (draw, gaps):
        assert torch.equal(one[0], one[1])
        assert not torch.equal(one[0], one[2])


def test_random_masks_mix_all_kinds() -> None:
    """Training meets whole hidden rows, whole hidden metrics, hidden newest rows and single hidden cells."""
    masks = random_masks(400, 32, 4, torch.Generator().manual_seed(0))
    whole_rows = (masks.all(2) | ~masks.any(2)).all(1)
    newest_only = ~masks[:, :16].flatten(1).any(1)
    whole_metrics = (masks.all(1) | ~masks.any(1)).all(1) & ~masks.flatten(1).all(1)
    scattered = ~(whole_rows | newest_only | whole_metrics)
    for kind in (whole_rows, newest_only, whole_metrics, scattered):
        assert kind.sum() > 10


def test_gaps_are_runs_of_rows_or_whole_metrics() -> None:
    """Gaps have the two shapes real ones have, in about the share of windows asked for; at 0 there are none."""
    gaps = random_gaps(2000, 32, 5, 0.1, torch.Generator().manual_seed(0))
    lost, rows = gaps.all(1, keepdim=True), gaps.all(2, keepdim=True)
    assert torch.equal(gaps, (lost | rows).expand_as(gaps))
    assert 0.08 < gaps.flatten(1).any(1).float().mean() < 0.2
    assert not random_gaps(100, 32, 5, 0.0, torch.Generator().manual_seed(0)).any()
