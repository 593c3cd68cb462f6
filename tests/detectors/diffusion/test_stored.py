"""The detector on disk: saved, replaced, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.detectors.diffusion.metrics import QUICK, frame_of
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, ModelError


@pytest.fixture
def stored(detector: DiffusionDetector, tmp_path: Path) -> Path:
    detector.save(tmp_path / "model")
    return tmp_path / "model"


def _weights(directory: Path) -> Path:
    (path,) = directory.glob("*.safetensors")
    return path


def test_loaded_model_scores_the_same(detector: DiffusionDetector, fresh: np.ndarray, stored: Path) -> None:
    """Saving and loading loses nothing: scores, bands and the card are identical."""
    loaded = DiffusionDetector.load(stored)
    frame = frame_of(fresh)
    assert np.array_equal(loaded.score(frame).score, detector.score(frame).score)
    one, other = (d.expected(frame, ["m1"], first=50, last=60) for d in (loaded, detector))
    assert np.array_equal(one.yhat_upper, other.yhat_upper)
    assert loaded.card.metrics == detector.card.metrics
    assert loaded.config == detector.config


def test_saving_again_replaces(values: np.ndarray, stored: Path) -> None:
    """A newer fit replaces the older one and leaves no file of it."""
    newer = DiffusionDetector.fit(frame_of(values[:400]), QUICK)
    newer.save(stored)
    assert sorted(path.suffix for path in stored.iterdir()) == [".json", ".safetensors"]
    assert DiffusionDetector.load(stored).card.steps == newer.card.steps


def test_crash_between_weights_and_card_keeps_the_old_model(
    detector: DiffusionDetector, values: np.ndarray, fresh: np.ndarray, stored: Path, tmp_path: Path
) -> None:
    """Weights written without their card, or half written, are not a model: the old one is still there and loads."""
    newer = tmp_path / "newer"
    DiffusionDetector.fit(frame_of(values[:400]), QUICK).save(newer)
    (stored / _weights(newer).name).write_bytes(_weights(newer).read_bytes())
    (stored / ".card.json.123.tmp").write_text('{"half": ')
    loaded = DiffusionDetector.load(stored)
    assert np.array_equal(loaded.score(frame_of(fresh)).score, detector.score(frame_of(fresh)).score)


def test_no_model() -> None:
    """If there is no model the error says so, and what to do."""
    with pytest.raises(ModelError, match="no model here; fit one first"):
        DiffusionDetector.load(Path("nowhere"))


def test_damaged_weights_are_refused(stored: Path) -> None:
    """Truncated, altered or missing weights are never used."""
    path = _weights(stored)
    data = path.read_bytes()
    for damaged in (data[:-100], b"", data[:500] + bytes([data[500] ^ 1]) + data[501:]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedModelError, match=r"damaged.*fit again"):
            DiffusionDetector.load(stored)
    path.unlink()
    with pytest.raises(DamagedModelError, match=r"cannot be read.*fit again"):
        DiffusionDetector.load(stored)


def test_damaged_card_is_refused(stored: Path) -> None:
    """A card that is no JSON, lacks or garbles a field, or does not fit its weights is never used."""
    path = stored / "card.json"
    card = json.loads(path.read_text())
    missing = {key: value for key, value in card.items() if key != "metrics"}
    plan = {**card["plans"]["stream"], "surplus": 1}
    wrong = [
        path.read_text()[:-10],
        "[1]",
        json.dumps(missing),
        json.dumps({**card, "metrics": "m0"}),
        json.dumps({**card, "plans": {**card["plans"], "stream": plan}}),
        json.dumps({**card, "plans": {"batch": card["plans"]["batch"]}}),
        json.dumps({**card, "metrics": card["metrics"][:2]}),
    ]
    for text in wrong:
        path.write_text(text)
        with pytest.raises(ModelError, match="fit again"):
            DiffusionDetector.load(stored)


def test_card_of_another_version_is_refused(stored: Path) -> None:
    """A model of another version of the format is not guessed at."""
    path = stored / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(CardVersionError, match="card schema version 99, but this version reads 3; fit again"):
        DiffusionDetector.load(stored)
