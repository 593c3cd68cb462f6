"""A thousand groups that share a network take the space of one network, on disk and in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import DamagedModelError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group

FITTED = 300
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)
SHARED = DiffusionModelConfig(
    shared=True, window=16, width=32, layers=1, fit_steps=10, samples=8, fit_window=pd.Timedelta("10min") * FITTED
)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]


def fit(make_pipeline: MakePipeline, frames: Frames, end: pd.Timestamp, **changes: object) -> Pipeline:
    """A pipeline that has just fit."""
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED.model_copy(update=changes))
    assert pipeline.fit(end).errors == []
    return pipeline


def network_file(pipeline: Pipeline, group: Group) -> Path:
    (path,) = pipeline.models.path("hosts", group).glob("network-*.safetensors")
    return path


def served(pipeline: Pipeline, group: Group) -> DiffusionDetector:
    detector = pipeline.models.get("hosts", group)
    assert isinstance(detector, DiffusionDetector)
    return detector


def test_the_network_is_on_disk_once(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """The groups' folders name the file of the shared folder: one file with several names. The rest is small."""
    pipeline = fit(make_pipeline, frames, history_end)
    files = [network_file(pipeline, group) for group in (WEB_1, WEB_2)]
    (shared,) = (files[0].parents[1] / "shared").glob("weights-*")
    assert files[0].samefile(shared) and files[1].samefile(shared)
    own = sum(path.stat().st_size for path in files[0].parent.iterdir() if path != files[0])
    assert own < shared.stat().st_size


def test_the_network_is_in_memory_once(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """Also in a process that has only loaded the groups' models."""
    fit(make_pipeline, frames, history_end)
    after = make_pipeline(MemoryReader(frames), bare=True, model=SHARED)
    assert served(after, WEB_1).imputer is served(after, WEB_2).imputer


def test_a_copied_folder_is_whole(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, tmp_path: Path
) -> None:
    """A group's folder alone, taken elsewhere, scores alike: it needs no other file."""
    pipeline = fit(make_pipeline, frames, history_end)
    detector = served(pipeline, WEB_1)
    copied = shutil.copytree(pipeline.models.path("hosts", WEB_1), tmp_path / "elsewhere")
    rest = frames[WEB_1].rows(FITTED, 330).select(detector.names)
    assert np.array_equal(DiffusionDetector.load(copied).score(rest).score, detector.score(rest).score)


def test_an_old_network_stays_with_those_that_use_it(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """If the shared network is fit anew, a group that could not be fit again keeps its model, network included."""
    pipeline = fit(make_pipeline, frames, history_end)
    old = network_file(pipeline, WEB_2).read_bytes()
    only = {WEB_1: frames[WEB_1]}
    again = fit(make_pipeline, only, history_end, seed=1)
    assert network_file(again, WEB_2).read_bytes() == old != network_file(again, WEB_1).read_bytes()
    assert served(again, WEB_2).imputer is not served(again, WEB_1).imputer


def test_a_second_fit_replaces_nothing_that_is_the_same(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Fit with another setting of the groups' own, the network's file stays the same one, and nothing is left over."""
    before = network_file(fit(make_pipeline, frames, history_end), WEB_1)
    inode = before.stat().st_ino
    after = network_file(fit(make_pipeline, frames, history_end, band=0.5), WEB_1)
    assert (after, after.stat().st_ino) == (before, inode)
    assert not list(after.parent.glob(".*"))


def test_without_links_the_network_is_copied(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """A file at the shared file's place is used only if it is the same: otherwise a group has its own file."""
    pipeline = fit(make_pipeline, frames, history_end)
    file = network_file(pipeline, WEB_1)
    (shared,) = (file.parents[1] / "shared").glob("weights-*")
    content = shared.read_bytes()
    shared.unlink()
    shared.write_bytes(b"something else")
    served(pipeline, WEB_2).save(file.parent, shared=shared.parent)
    assert network_file(pipeline, WEB_1).read_bytes() == content


def test_a_damaged_network_file_is_refused(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, tmp_path: Path
) -> None:
    """A file that is not what the card says is an error that says what to do, unless the network is in memory."""
    pipeline = fit(make_pipeline, frames, history_end)
    copied = shutil.copytree(pipeline.models.path("hosts", WEB_1), tmp_path / "elsewhere")
    (path,) = copied.glob("network-*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedModelError, match=r"network-.*checksum.*fit again"):
        from tsdiff_monitor.detectors.cards import read_card
        from tsdiff_monitor.detectors.diffusion.files import ModelCard, load_network

        load_network(copied, read_card(copied, ModelCard))


def test_another_event_policy_is_rehearsed_again(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Thresholds depend on when an event is confirmed and over: with other rules the fit is another one."""
    steps: list[int] = []

    def steps_of(**events: object) -> int:
        pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED, monitor={"events": events})
        steps.clear()
        pipeline.fit(history_end, progress=lambda group, done, _: steps.append(done) if group == () else None)
        return max(steps, default=0)

    assert [steps_of(), steps_of(), steps_of(resolve_rows=9), steps_of(confirm_rows=3)] == [10, 0, 10, 10]
