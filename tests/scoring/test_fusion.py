"""Fusion: several views and scales to one score."""

from __future__ import annotations

import numpy as np
import pytest

from tsdiff_monitor.scoring.fusion import fuse, moving_mean, reach

SCALES = (1, 5, 15)


def test_the_geometric_mean_of_views_and_scales() -> None:
    """By hand: two constant views of 2 and 8 are 4, at any scales."""
    fused = fuse([np.full(40, 2.0), np.full(40, 8.0)], scales=SCALES, centred=True)
    np.testing.assert_allclose(fused, 4.0)


def test_moving_means_by_hand() -> None:
    """Around a row or up to it; edges and gaps use what there is, and a gap stays one."""
    x = np.array([1.0, 2.0, 6.0, np.nan, 4.0])
    np.testing.assert_allclose(moving_mean(x, 3, centred=True), [1.5, 3.0, 4.0, np.nan, 4.0])
    np.testing.assert_allclose(moving_mean(x, 3, centred=False), [1.0, 1.5, 3.0, np.nan, 5.0])


def test_a_spike_stands_above_its_neighbours() -> None:
    """If a moving mean makes a plateau of a single spike, its own row stays on top by far."""
    x = np.ones(61)
    x[30] = 100.0
    fused = fuse([x], scales=SCALES, centred=True)
    assert np.argmax(fused) == 30
    assert fused[30] > 4 * fused[29]


def test_a_long_moderate_incident_ranks_above_a_single_moderate_row() -> None:
    """A deviation that lasts is more evidence than one that does not."""
    x = np.ones(200)
    x[50] = 3.0
    x[120:150] = 3.0
    fused = fuse([x], scales=SCALES, centred=True)
    assert fused[125:145].min() > 1.5 * fused[50]


@pytest.mark.parametrize("centred", [False, True])
def test_a_row_depends_on_its_reach_alone(centred: bool) -> None:
    """Scoring from a row on takes ``reach`` rows before it, and no more."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 2, 120)
    whole = fuse([x], scales=SCALES, centred=centred)
    begin = 60 - reach(SCALES, centred=centred)
    np.testing.assert_allclose(fuse([x[begin:]], scales=SCALES, centred=centred)[60 - begin :], whole[60:])
    x[:begin] = 1e6
    np.testing.assert_allclose(fuse([x], scales=SCALES, centred=centred)[60:], whole[60:])
    x[begin] = 1e6
    assert fuse([x], scales=SCALES, centred=centred)[60] > whole[60]


def test_more_evidence_never_lowers_a_score() -> None:
    """Raising any view in any row raises or keeps the score of every row."""
    rng = np.random.default_rng(1)
    views = [rng.uniform(0.5, 2, 60), rng.uniform(0.5, 2, 60)]
    before = fuse(views, scales=SCALES, centred=True)
    views[1][17] *= 5
    assert (fuse(views, scales=SCALES, centred=True) >= before - 1e-12).all()
