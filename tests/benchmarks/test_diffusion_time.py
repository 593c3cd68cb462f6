from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.methods.diffusion_time import BINS, DiffusionTime

D = 6


def blob(n: int = 1000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def fit(embeddings: np.ndarray, seed: int = 0, steps: int = 200) -> DiffusionTime:
    return DiffusionTime.fit(embeddings, generator=torch.Generator().manual_seed(seed), steps=steps)


@pytest.fixture(scope="module")
def fitted() -> DiffusionTime:
    return fit(blob())


def test_outliers_score_above_inliers(fitted: DiffusionTime) -> None:
    """Points far from all normal ones are expected to have more noise than any normal point."""
    direction = blob(50, seed=2)
    far = 12 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    inliers = fitted.score(blob(500, seed=1))
    outliers = fitted.score(far)
    assert outliers.min() > np.quantile(inliers, 0.99)
    assert inliers.min() >= 0
    assert outliers.max() <= BINS - 1


def test_a_larger_displacement_never_scores_lower(fitted: DiffusionTime) -> None:
    """Moved outwards from the middle of a blob the score rises, to a hundredth of a bin, and stays at its largest."""
    directions = blob(20, seed=3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scores = np.stack([fitted.score((size * directions).astype(np.float32)) for size in (3, 6, 12, 24, 100, 1e4)])
    assert (np.diff(scores.mean(1)) > -0.01).all()
    assert (np.diff(scores, axis=0) > -0.15).all()


def test_it_finds_what_leaves_a_thin_manifold() -> None:
    """A point as near to the middle as the others, but off the line on which they lie, scores above them."""
    rng = np.random.default_rng(0)
    line = np.repeat(rng.normal(size=(1500, 1)), D, 1) + 0.05 * rng.normal(size=(1500, D))
    fitted = fit(line)
    off = np.array([[1, -1, 1, -1, 1, -1]], np.float32)
    assert fitted.score(off)[0] > np.quantile(fitted.score(line), 0.99)


def test_the_same_points_and_generator_give_the_same_scores() -> None:
    """All randomness, that of the weights too, comes from the generator; the global one is left alone."""
    state = torch.get_rng_state()
    first, again, other = (fit(blob(200), seed, steps=20).score(blob(5)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_with_gaps_are_left_out() -> None:
    """An incomplete embedding has no score and teaches nothing: the others' scores are the same without it."""
    gappy = blob(200)
    gappy[5, 2] = np.nan
    with_gap, without = fit(gappy, steps=20), fit(np.delete(gappy, 5, 0), steps=20)
    scores = with_gap.score(gappy)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [5]
    assert np.array_equal(np.delete(scores, 5), without.score(np.delete(gappy, 5, 0)))
    with pytest.raises(ValueError, match="fill the gaps"):
        fit(np.full((3, D), np.nan))
