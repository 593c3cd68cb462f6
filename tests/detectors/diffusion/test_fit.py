"""The fit: from how much history, how often the same, within which budget."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.diffusion.metrics import QUICK, frame_of, made_values
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import DataError


def test_fewer_rows_than_a_window_cannot_be_fit(values: np.ndarray) -> None:
    """The error says how many rows there are, how many it takes, and what to do."""
    with pytest.raises(DataError, match="one window of 16 rows, but there are 15; give more history"):
        DiffusionDetector.fit(frame_of(values[:15]), QUICK)


def test_history_without_values_cannot_be_fit() -> None:
    """A history of gaps only is refused, with what to check."""
    with pytest.raises(DataError, match="no value at all; check the queries"):
        DiffusionDetector.fit(frame_of(np.full((100, 2), np.nan)), QUICK)


def test_fit_is_reproducible(values: np.ndarray) -> None:
    """Same history, same seed: same scores, to the bit, for any random state of the caller; not so another seed."""
    import torch

    scores = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        config = QUICK.model_copy(update={"seed": seed})
        scores.append(DiffusionDetector.fit(frame_of(values[:400]), config).score(frame_of(values[400:500])).score)
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_fit_reports_progress_and_keeps_to_its_budget(values: np.ndarray) -> None:
    """Each step is reported, and the budget ends training with a usable model."""
    seen: list[int] = []
    ticks = iter(range(0, 10_000, 100))
    detector = DiffusionDetector.fit(
        frame_of(values[:400]), QUICK, progress=lambda done, total: seen.append(done), clock=lambda: float(next(ticks))
    )
    assert seen == [1, 2, 3, 4]  # 5 minutes by default, 100 s a step
    assert detector.card.steps == 4
    assert np.isfinite(detector.score(frame_of(values[400:420])).score).all()


@pytest.mark.parametrize("rows", [16, 17, 60])
def test_short_history_is_enough_to_run(values: np.ndarray, rows: int) -> None:
    """One window is enough to fit and score, if not to judge well."""
    detector = DiffusionDetector.fit(frame_of(values[:rows]), QUICK)
    assert np.isfinite(detector.score(frame_of(values[rows : rows + 5])).score).all()


@pytest.mark.parametrize("metrics", [1, 200])
def test_one_metric_or_hundreds(metrics: int) -> None:
    """A group may have a single metric or hundreds: scores, modes and bands work alike."""
    values = made_values(500, metrics)
    detector = DiffusionDetector.fit(frame_of(values[:400]), QUICK)
    rest = values[400:]
    rest[50] += 50
    for mode in ("stream", "batch"):
        scores = detector.score(frame_of(rest), first=16, mode=mode)
        assert abs(scores.score.argmax() - 34) <= 2  # batch mode averages over neighbours
        assert scores.attribution.sum(1) == pytest.approx(1, abs=1e-4)
    expected = detector.expected(frame_of(rest), ["m0"], first=40, last=60)
    assert expected.yhat.shape == (20, 1)
    assert (expected.yhat_lower <= expected.yhat_upper).all()


def test_the_smallest_window_works() -> None:
    """The least window the configuration allows runs through every plan."""
    detector = DiffusionDetector.fit(frame_of(made_values(200)), QUICK.model_copy(update={"window": 8}))
    for mode in ("stream", "batch"):
        assert np.isfinite(detector.score(frame_of(made_values(50)), mode=mode).score).all()
