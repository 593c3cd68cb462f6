"""The models on disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.models.repository import ModelStore, fingerprint, folder_name
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Group

GROUP: Group = (("instance", "web-1"),)
CONFIG = DiffusionModelConfig(window=8, width=16, layers=1, fit_steps=10)


@pytest.fixture(scope="module")
def detector() -> DiffusionDetector:
    return DiffusionDetector.fit(example_frame(60), CONFIG)


def test_a_stored_model_is_found_by_another_process(tmp_path: Path, detector: DiffusionDetector) -> None:
    """A model that one store put, another one gets, current for its own fingerprint only."""
    ModelStore(tmp_path).put("hosts", GROUP, detector, "mark")
    other = ModelStore(tmp_path)
    assert other.exists("hosts", GROUP)
    assert other.is_usable("hosts", GROUP)
    assert other.is_current("hosts", GROUP, "mark")
    assert not other.is_current("hosts", GROUP, "another")
    assert other.get("hosts", GROUP).card == ModelStore(tmp_path).get("hosts", GROUP).card


def test_no_model_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A group never fit has no model, and is neither usable nor current."""
    store = ModelStore(tmp_path)
    with pytest.raises(ModelError, match="there is no model here; fit one first"):
        store.get("hosts", GROUP)
    assert not (store.exists("hosts", GROUP) or store.is_usable("hosts", GROUP) or store.is_current("hosts", GROUP, ""))


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"other"])
def test_a_damaged_fingerprint_only_means_another_fit(
    tmp_path: Path, detector: DiffusionDetector, damage: bytes
) -> None:
    """The model can be used, but does not count as current."""
    ModelStore(tmp_path).put("hosts", GROUP, detector, "mark")
    store = ModelStore(tmp_path)
    (store.path("hosts", GROUP) / "fingerprint").write_bytes(damage)
    assert store.is_usable("hosts", GROUP)
    assert not store.is_current("hosts", GROUP, "mark")


def test_a_crash_while_storing_leaves_no_wrong_fingerprint(tmp_path: Path, detector: DiffusionDetector) -> None:
    """Killed after the new model and before its fingerprint, it must not pass for what the old one was fit on."""

    class DyingDetector(DiffusionDetector):
        def save(self, directory: Path) -> None:
            super().save(directory)
            raise KeyboardInterrupt

    dying = DyingDetector(**{field.name: getattr(detector, field.name) for field in fields(detector)})
    store = ModelStore(tmp_path)
    store.put("hosts", GROUP, detector, "old")
    with pytest.raises(KeyboardInterrupt):
        store.put("hosts", GROUP, dying, "new")
    after = ModelStore(tmp_path)
    assert after.is_usable("hosts", GROUP)
    assert not after.is_current("hosts", GROUP, "old")
    assert not after.is_current("hosts", GROUP, "new")


def test_folders_are_apart(tmp_path: Path) -> None:
    """No two groups and no two monitors share a folder, and none lies outside the root."""
    store = ModelStore(tmp_path)
    groups: list[Group] = [
        (),
        (("a", "b"), ("c", "d")),
        (("a", "b,c=d"),),
        (("a", "x/y"),),
        (("a", "x_y"),),
        (("a", "../../x"),),
        (("a", "z" * 300),),
    ]
    monitors = ["hosts", "ho/sts", "ho_sts", "..", ".", "x" * 300, "Überwachung", "a b"]
    paths = [store.path(monitor, group) for monitor in monitors for group in groups]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path.resolve().is_relative_to(tmp_path.resolve())
        assert path.resolve().parent.parent == tmp_path.resolve()
        assert all(len(part.encode()) < 256 for part in path.parts)
    assert folder_name("hosts") == "hosts"


def test_the_fingerprint_covers_what_a_fit_depends_on() -> None:
    """Other values, another seed or another confirmation rule are another fit; the same are the same."""
    frame = example_frame(60)
    mark = fingerprint(frame, CONFIG, 2)
    assert mark == fingerprint(example_frame(60), CONFIG, 2)
    others = [
        fingerprint(example_frame(60, seed=1), CONFIG, 2),
        fingerprint(example_frame(60, step="2min"), CONFIG, 2),
        fingerprint(example_frame(60, names=("a", "b", "c")), CONFIG, 2),
        fingerprint(frame, CONFIG.model_copy(update={"seed": 1}), 2),
        fingerprint(frame, CONFIG, 3),
    ]
    assert len({mark, *others}) == 1 + len(others)
