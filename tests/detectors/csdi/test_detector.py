from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.csdi.detector import CsdiDetector
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, DataError, ModelError, SchemaMismatchError
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame, Series

torch.set_num_threads(1)

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
CONFIG = CsdiReferenceConfig(
    window=20,
    fit_steps=60,
    layers=1,
    channels=8,
    steps=6,
    vote_steps=2,
    vote_every=2,
    calibration_windows=16,
    samples=8,
)
QUICK = CONFIG.model_copy(update={"fit_steps": 10})


def _values(rows: int = 600) -> np.ndarray:
    rng, t = np.random.default_rng(0), np.arange(rows)
    waves = np.stack([np.sin(t / 5), np.cos(t / 5), np.sin(t / 5) + np.cos(t / 9)], 1)
    return np.asarray(10 + waves + 0.1 * rng.normal(size=(rows, 3)))


def _frame(values: np.ndarray, step: pd.Timedelta = STEP) -> Frame:
    return Frame(START, step, values, tuple(Series(f"m{k}") for k in range(values.shape[1])))


@pytest.fixture(scope="module")
def detector() -> CsdiDetector:
    return CsdiDetector.fit(_frame(_values()[:500]), CONFIG)


@pytest.fixture
def fresh() -> np.ndarray:
    """Rows after those of the fit, free to be spoilt."""
    return _values()[500:].copy()


@pytest.mark.parametrize("mode", ["stream", "batch"])
def test_a_spike_ranks_first(detector: CsdiDetector, fresh: np.ndarray, mode: str) -> None:
    """The row of a spike has the highest score and the most votes, and its metric is to blame."""
    fresh[60, 1] += 20
    scores = detector.score(_frame(fresh), first=20, mode=mode)  # type: ignore[arg-type]
    assert scores.score.argmax() == 40
    assert scores.attribution[40].argmax() == 1
    assert scores.attribution.sum(1) == pytest.approx(1, abs=1e-5)
    count = detector.votes(_frame(fresh), first=20, mode=mode)  # type: ignore[arg-type]
    assert count[40] == 2
    assert (count == 0).mean() > 0.5


def test_the_same_again(fresh: np.ndarray) -> None:
    """The same history and seed give the same model and the same scores; another seed gives others."""
    history = _frame(_values()[:500])
    a, b = (CsdiDetector.fit(history, QUICK) for _ in range(2))
    assert a.card == b.card
    assert np.array_equal(a.score(_frame(fresh)).score, b.score(_frame(fresh)).score)
    other = CsdiDetector.fit(history, QUICK.model_copy(update={"seed": 1}))
    assert not np.array_equal(a.score(_frame(fresh)).score, other.score(_frame(fresh)).score)


def test_row_by_row_equals_at_once(detector: CsdiDetector, fresh: np.ndarray) -> None:
    """In stream mode a row's score rests on its own window alone."""
    at_once = detector.score(_frame(fresh[:40]), first=30)
    for t in range(30, 40):
        one = detector.score(_frame(fresh[t - 19 : t + 1]), first=19)
        assert one.score[0] == pytest.approx(at_once.score[t - 30], rel=1e-4)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("mode", ["stream", "batch"])
def test_gaps_are_scored_through(fresh: np.ndarray, conditional: bool, mode: str) -> None:
    """Rows without any value have no score, all others have one, and what is missing has no share of it."""
    config = QUICK.model_copy(update={"conditional": conditional})
    detector = CsdiDetector.fit(_frame(_values()[:500]), config)
    fresh[30:60] = np.nan
    fresh[:, 2] = np.nan
    scores = detector.score(_frame(fresh), first=5, mode=mode)  # type: ignore[arg-type]
    assert np.array_equal(np.isnan(scores.score), np.isnan(fresh[5:]).all(1))
    assert (scores.attribution[np.isnan(fresh[5:])] == 0).all()
    assert detector.votes(_frame(fresh))[30:60].sum() == 0


def test_order_of_series_does_not_matter(detector: CsdiDetector, fresh: np.ndarray) -> None:
    """Scores are equal, and attributions follow the frame's own order."""
    frame = _frame(fresh[:40])
    shuffled = frame.select(["m2", "m0", "m1"])
    plain, permuted = detector.score(frame, first=30), detector.score(shuffled, first=30)
    assert np.array_equal(plain.score, permuted.score)
    assert np.array_equal(permuted.attribution, plain.attribution[:, [2, 0, 1]])


def test_rules_disregard_deviations(detector: CsdiDetector, fresh: np.ndarray) -> None:
    """A deviation in the direction that does not count lowers the score and has no share of it."""
    fresh[60, 1] += 20
    plain = detector.score(_frame(fresh), mode="batch")
    ruled = detector.score(_frame(fresh), mode="batch", rules={"m1": Rule(direction="below_expected")})
    assert (ruled.score <= plain.score + 1e-12).all()
    assert ruled.score[60] < plain.score[60] / 2
    assert ruled.attribution[60, 1] == 0


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_few_rows_are_scored(detector: CsdiDetector, fresh: np.ndarray, rows: int) -> None:
    """A frame shorter than a window has a score for each row; none gives none."""
    for mode in ("stream", "batch"):
        scores = detector.score(_frame(fresh[:rows]), mode=mode)  # type: ignore[arg-type]
        assert np.isfinite(scores.score).all()
        assert len(scores) == rows


def test_expected_has_a_band_around_it(detector: CsdiDetector, fresh: np.ndarray) -> None:
    """Quantiles are in order and in the metric's units, for the rows and names asked for, missing cells too."""
    fresh[45, 2] = np.nan
    expected = detector.expected(_frame(fresh), ["m2", "m0"], first=40, last=60, read=8)
    assert [s.name for s in expected.series] == ["m2", "m0"]
    assert expected.times[0] == START + 40 * STEP
    assert expected.yhat.shape == (20, 2)
    assert (expected.yhat_lower <= expected.yhat).all()
    assert (expected.yhat <= expected.yhat_upper).all()
    assert np.abs(expected.yhat - 10).max() < 6


def test_saved_and_loaded(detector: CsdiDetector, fresh: np.ndarray, tmp_path: Path) -> None:
    """A loaded detector scores as the saved one; its card names its kind; names, window and step are the fit's."""
    detector.save(tmp_path)
    loaded = CsdiDetector.load(tmp_path)
    assert json.loads((tmp_path / "card.json").read_text())["kind"] == "csdi_reference"
    assert (loaded.names, loaded.window, loaded.step_seconds) == (("m0", "m1", "m2"), 20, 60.0)
    a, b = (d.score(_frame(fresh), first=90) for d in (detector, loaded))
    assert np.array_equal(a.score, b.score)


def test_damaged_models_are_refused(detector: CsdiDetector, tmp_path: Path) -> None:
    """No model, a model of another version and damaged ones are errors that name the file."""
    with pytest.raises(ModelError, match="there is no model here"):
        CsdiDetector.load(tmp_path)
    detector.save(tmp_path)
    card = tmp_path / "card.json"
    text = card.read_text()
    card.write_text(text.replace('"schema_version": ', '"schema_version": 9'))
    with pytest.raises(CardVersionError):
        CsdiDetector.load(tmp_path)
    card.write_text(text.replace('"vote_threshold"', '"threshold"'))
    with pytest.raises(DamagedModelError, match="vote_threshold"):
        CsdiDetector.load(tmp_path)
    card.write_text(text.replace('"channels": 8', '"channels": 16'))
    with pytest.raises(DamagedModelError, match="not those of the model card"):
        CsdiDetector.load(tmp_path)
    card.write_text(text)
    (weights,) = tmp_path.glob("weights-*")
    weights.write_bytes(b"damaged")
    with pytest.raises(DamagedModelError, match="checksum"):
        CsdiDetector.load(tmp_path)


def test_unusable_frames_are_refused(detector: CsdiDetector, fresh: np.ndarray) -> None:
    """Too short or empty a history, other metrics and another step are errors that say what to do."""
    with pytest.raises(DataError, match="at least one window of 20 rows, but there are 10"):
        CsdiDetector.fit(_frame(fresh[:10]), QUICK)
    with pytest.raises(DataError, match="no value at all"):
        CsdiDetector.fit(_frame(np.full((100, 2), np.nan)), QUICK)
    with pytest.raises(SchemaMismatchError, match="missing: m2"):
        detector.score(_frame(fresh[:, :2]))
    with pytest.raises(SchemaMismatchError, match="120 s apart"):
        detector.score(_frame(fresh, pd.Timedelta("2min")))


def test_the_budget_ends_training_early_and_progress_is_shown() -> None:
    """Each step is reported, the work after training too; a fit over its budget keeps what it has learned."""
    seen: list[tuple[int, int]] = []
    ticks = iter(range(1000))
    config = QUICK.model_copy(update={"fit_budget": timedelta(seconds=3)})
    detector = CsdiDetector.fit(
        _frame(_values()[:200]),
        config,
        progress=lambda done, planned: seen.append((done, planned)),
        clock=lambda: float(next(ticks)),
    )
    assert detector.card.steps == 4
    assert seen == [(1, 12), (2, 12), (3, 12), (4, 12), (11, 12), (12, 12)]
