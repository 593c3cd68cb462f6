"""The codebook: how far rows are from anything the history has shown."""

from __future__ import annotations

import numpy as np
import pytest

from tsdiff_monitor.scoring.codebook import Codebook

HELD_OUT = ((320, 400),)


def waves(rows: int, metrics: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase = np.arange(rows)[:, None] / 8 + np.arange(metrics)
    return (np.sin(phase) + 0.1 * rng.normal(size=(rows, metrics))).astype(np.float32)


@pytest.fixture(scope="module")
def book() -> Codebook:
    return Codebook.fit(waves(400), HELD_OUT, seed=0)


@pytest.mark.parametrize("centred", [False, True])
def test_normal_rows_are_about_1_and_strange_ones_far(book: Codebook, centred: bool) -> None:
    """Live and with hindsight; a shape never seen counts although each of its values is ordinary."""
    rows = waves(300, seed=1)
    normal = book.distances(rows, first=20, centred=centred)
    assert 0.7 < np.median(normal) < 1.4
    rows[200:212, 0] = -rows[200:212, 0]  # the same values, against the other metrics
    unusual = book.distances(rows, first=20, centred=centred)
    assert unusual[184:192].max() > 2 * np.median(normal)


def test_a_row_depends_on_its_own_window_alone(book: Codebook) -> None:
    """Live scores are the same whether rows come one by one or all at once."""
    rows = waves(60, seed=2)
    at_once = book.distances(rows, first=0, centred=False)
    for t in (0, 5, 30, 59):
        np.testing.assert_allclose(book.distances(rows[: t + 1], first=t, centred=False), at_once[[t]], rtol=1e-5)


@pytest.mark.parametrize("size", [3.0, 30.0, 1e3, 1e6])
def test_a_larger_spike_is_farther(book: Codebook, size: float) -> None:
    """Softened or not, a larger excursion is never nearer."""
    rows = waves(60, seed=3)
    spiked = [rows.copy(), rows.copy()]
    for factor, one in zip((1, 2), spiked, strict=True):
        one[50, 1] = factor * size
    near, far = (book.distances(one, first=50, centred=False)[0] for one in spiked)
    assert far > near


def test_one_metric_at_another_level_for_good_does_not_hide_the_others(book: Codebook) -> None:
    """A counter far from its history adds to every row alike; an incident elsewhere still stands out."""
    rows = waves(200, seed=4)
    rows[:, 2] += 500
    rows[100:104, 0] += 40
    distance = book.distances(rows, first=20, centred=False)
    assert distance[83] > np.delete(distance, range(80, 93)).max()


def test_missing_cells_are_no_evidence(book: Codebook) -> None:
    """A metric that vanished, or a gap, brings no row away from normal; a row without a value has no distance."""
    rows = waves(200, seed=5)
    whole = book.distances(rows, first=20, centred=False)
    rows[:, 1] = np.nan
    lost = book.distances(rows, first=20, centred=False)
    assert lost.max() < 1.2 * whole.max()
    rows[90:130] = np.nan
    gap = book.distances(rows, first=20, centred=True)
    assert np.isnan(gap[70:110]).all()
    assert np.nanmax(gap) < 1.2 * whole.max()


def test_the_same_seed_gives_the_same_codebook(book: Codebook) -> None:
    """And another order of the metrics gives the same distances, up to rounding."""
    again = Codebook.fit(waves(400), HELD_OUT, seed=0)
    np.testing.assert_array_equal(again.words, book.words)
    turned = Codebook.fit(waves(400)[:, ::-1], HELD_OUT, seed=0)
    rows = waves(60, seed=6)
    np.testing.assert_allclose(
        turned.distances(rows[:, ::-1], first=0, centred=False), book.distances(rows, first=0, centred=False), rtol=0.02
    )


@pytest.mark.parametrize("rows", [1, 9, 12])
def test_short_and_constant_histories_are_accepted(rows: int) -> None:
    """Fewer rows than a window, fewer distinct windows than words, metrics that never moved or never had a value."""
    history = np.zeros((rows, 3), np.float32)
    history[:, 2] = np.nan
    book = Codebook.fit(history, ((0, rows),), seed=0)
    same, other = (book.distances(np.full((20, 3), level, np.float32), first=0, centred=True) for level in (0.0, 5.0))
    assert np.isfinite(same).all()
    assert (other > same).all()
