"""Baselines on disk, and the door to all kinds of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.detectors.config import MODEL_TYPES, ModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.detectors.registry import fit_detector, load_detector
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, ModelError
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame


def test_a_stored_baseline_scores_the_same(detector: BaselineDetector, whole: Frame, tmp_path: Path) -> None:
    """Loaded by another process it is the same detector, and its folder holds one JSON file."""
    detector.save(tmp_path)
    loaded = load_detector(tmp_path)
    assert isinstance(loaded, BaselineDetector)
    assert loaded.card.model_copy(update={"sha256": ""}) == detector.card
    np.testing.assert_array_equal(loaded.score(whole).score, detector.score(whole).score)
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]
    json.loads((tmp_path / "card.json").read_text())


def test_a_card_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Its forecaster is under the key `law`, and its checksum still holds; written again it is the same."""
    first = Path(__file__).with_name("card_0.1.0.json").read_text()
    (tmp_path / "card.json").write_text(first)
    loaded = load_detector(tmp_path)
    assert isinstance(loaded, BaselineDetector)
    assert loaded.card.forecaster.method == "smoothing"
    loaded.save(tmp_path)
    assert json.loads((tmp_path / "card.json").read_text()) == json.loads(first)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"rates"', '"ratez"', "damaged, wrong or missing"),
        ('"scale": ', '"scale": 1', "damaged, its checksum is not the card's"),
        ('"schema_version": 2', '"schema_version": 9', "card schema version 9, but this version reads 2"),
        ('"kind": "baseline"', '"kind": "oracle"', "a model of kind 'oracle', which this version does not know"),
        ('"kind": "baseline"', '"kind": 3', "it does not say which kind of model"),
        ("{", "", "not a readable card"),
    ],
)
def test_a_damaged_card_is_refused(history: Frame, tmp_path: Path, old: str, new: str, what: str) -> None:
    """The error names the file and says to fit again."""
    BaselineDetector.fit(history).save(tmp_path)
    path = tmp_path / "card.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises((DamagedModelError, CardVersionError), match=what) as raised:
        load_detector(tmp_path)
    assert str(path) in str(raised.value)
    assert "fit again" in str(raised.value)


def test_metrics_of_another_number_than_the_forecasts_are_damage(history: Frame, tmp_path: Path) -> None:
    """Even with a checksum that fits, a card that contradicts itself is not used."""
    card = BaselineDetector.fit(history).card
    with pytest.raises(ValueError, match="as many metrics as the card"):
        type(card).model_validate({**card.model_dump(), "metrics": card.model_dump()["metrics"][:1]})


def test_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    """A folder without a card has no model."""
    with pytest.raises(ModelError, match="there is no model here; fit one first"):
        load_detector(tmp_path)


def test_every_kind_of_model_has_a_detector() -> None:
    """Each configuration class is of the union, and is found by the type it carries."""
    assert set(get_args(ModelConfig)) == set(MODEL_TYPES.values())
    for name, config in MODEL_TYPES.items():
        assert config().type == name


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (BaselineModelConfig(), BaselineDetector),
        (DiffusionModelConfig(window=8, width=16, layers=1, fit_steps=10), DiffusionDetector),
    ],
)
def test_the_configuration_chooses_the_class(config: ModelConfig, kind: type, tmp_path: Path) -> None:
    """Fit by its configuration and loaded by its card, a detector is of its kind; both have the same door."""
    frame = example_frame(80)
    fitted: Detector = fit_detector(frame, config)
    fitted.save(tmp_path)
    loaded = load_detector(tmp_path)
    assert type(fitted) is type(loaded) is kind
    assert (loaded.names, loaded.window, loaded.step_seconds) == (frame.names, config.window, 60.0)
    np.testing.assert_array_equal(loaded.score(frame).score, fitted.score(frame).score)
