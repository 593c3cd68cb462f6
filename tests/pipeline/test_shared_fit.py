"""One network for all groups of a monitor: fit once, served to each group, and to groups that come later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pytest

from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork
from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

STEP = pd.Timedelta("10min")
FITTED = 300
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)
NEW: Group = (("instance", "web-3"),)
SHARED = DiffusionModelConfig(
    shared=True, window=16, width=32, layers=1, fit_steps=30, samples=8, fit_window=STEP * FITTED
)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]


def born(frames: Frames, rows: int) -> Frames:
    """A new group with fewer metrics, there for so many rows at the end of the others' history."""
    return {**frames, NEW: frames[WEB_1].rows(FITTED - rows, 450).select(["cpu", "requests"])}


@pytest.fixture
def steps() -> Callable[[Group, int, int], None]:
    """A ``progress`` that counts the training steps of each group."""

    def progress(group: Group, done: int, total: int) -> None:
        progress.seen[group] = done  # type: ignore[attr-defined]

    progress.seen = {}  # type: ignore[attr-defined]
    return progress


def network_of(pipeline: Pipeline, group: Group, *, cold: bool = False) -> DiffusionDetector:
    detector = pipeline.models.get("hosts", group, cold=cold)
    assert isinstance(detector, DiffusionDetector)
    return detector


def test_one_network_is_fit_for_all_groups(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """One training for the monitor, none for a group; each has a model of its own on disk, with the same weights."""
    reader = MemoryReader(frames)
    pipeline = make_pipeline(reader, bare=True, model=SHARED)
    assert pipeline.fit(history_end, progress=steps).fitted == [WEB_1, WEB_2]
    assert steps.seen == {(): 30}  # type: ignore[attr-defined]
    after = make_pipeline(reader, bare=True, model=SHARED)  # another process
    shared = after.models.get_network("hosts").imputer.network.state_dict()
    for group in (WEB_1, WEB_2):
        imputer = network_of(after, group).imputer
        assert isinstance(imputer, Imputer)
        own = imputer.network.state_dict()
        assert all(own[name].equal(tensor) for name, tensor in shared.items())


def test_groups_are_adapted_if_so_configured(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """``adapt_steps`` of training for each group follow."""
    model = SHARED.model_copy(update={"adapt_steps": 3})
    make_pipeline(MemoryReader(frames), bare=True, model=model).fit(history_end, progress=steps)
    assert steps.seen == {(): 30, WEB_1: 3, WEB_2: 3}  # type: ignore[attr-defined]


def test_a_new_group_is_served_at_its_first_tick(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """With four windows of history it is scored by the shared network, not by a baseline, before any fit."""
    writer = MemoryWriter()
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED)
    pipeline.fit(history_end)
    later = make_pipeline(
        MemoryReader(born(frames, 100)), bare=True, model=SHARED, store=pipeline.store, writers={"w": writer}
    )
    result = later.tick(history_end, cold_start=True)
    assert (result.groups, result.errors, result.cold_start) == (3, [], [NEW])
    assert {group for _, group, _ in writer.rows} == {WEB_1, WEB_2, NEW}
    assert network_of(later, NEW, cold=True).names == ("cpu", "requests")
    assert len(later.reader.requests) == 2  # type: ignore[attr-defined]
    assert later.tick(history_end + STEP, cold_start=True).groups == 3
    assert len(later.reader.requests) == 3  # type: ignore[attr-defined]  # it is not served anew at every tick


def test_a_new_group_needs_no_training(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """The fit that follows serves it from the stored network and leaves that, and all other groups, as they are."""
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED)
    pipeline.fit(history_end)
    before = pipeline.models.get_network("hosts").digest
    later = make_pipeline(MemoryReader(born(frames, 100)), bare=True, model=SHARED)
    result = later.fit(history_end, only_missing=True, progress=steps)
    assert (result.fitted, result.current, result.errors) == ([NEW], [WEB_1, WEB_2], [])
    assert steps.seen == {}  # type: ignore[attr-defined]
    assert later.models.get_network("hosts").digest == before
    assert later.tick(history_end, cold_start=True).without_model == []


@pytest.mark.parametrize(("method", "scored"), [("smoothing", 3), ("none", 2)])
def test_a_group_too_young_to_be_served_has_the_cold_start(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, method: str, scored: int
) -> None:
    """With less than four windows a baseline scores it, if one is configured; the shared network takes over later."""
    model = SHARED.model_copy(update={"cold_start": method})
    make_pipeline(MemoryReader(frames), bare=True, model=model).fit(history_end)
    pipeline = make_pipeline(MemoryReader(born(frames, 40)), bare=True, model=model)
    assert pipeline.tick(history_end, cold_start=True).groups == scored
    if method == "smoothing":
        assert isinstance(pipeline.models.get("hosts", NEW, cold=True), BaselineDetector)
    for row in range(1, 45):
        pipeline.tick(history_end + row * STEP, cold_start=True)
    assert network_of(pipeline, NEW, cold=True).card.fit_rows >= 64


def test_before_the_first_fit_there_is_the_baseline(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """A new installation has no shared network yet: its groups have the cold start like any others."""
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED)
    assert pipeline.tick(history_end, cold_start=True).cold_start == [WEB_1, WEB_2]
    assert isinstance(pipeline.models.get("hosts", WEB_1, cold=True), BaselineDetector)


def test_a_fit_stopped_between_groups_resumes(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """Stopped after the network and one group, the same fit trains nothing again and does the other group."""

    class StopAskedError(BaseException):
        pass

    def stop(group: Group, done: int, total: int) -> None:
        if group == WEB_2:
            raise StopAskedError

    model = SHARED.model_copy(update={"adapt_steps": 2})
    reader = MemoryReader(frames)
    with pytest.raises(StopAskedError):
        make_pipeline(reader, bare=True, model=model).fit(history_end, progress=stop)
    result = make_pipeline(reader, bare=True, model=model).fit(history_end, progress=steps)
    assert (result.current, result.fitted) == ([WEB_1], [WEB_2])
    assert steps.seen == {WEB_2: 2}  # type: ignore[attr-defined]


def test_new_rows_or_another_setting_mean_another_network(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """It is fit again when its groups' histories or its own settings change, and not for what is the groups' own."""
    reader = MemoryReader(frames)

    def fit(end: pd.Timestamp, **changes: object) -> tuple[int, int]:
        steps.seen.clear()  # type: ignore[attr-defined]
        pipeline = make_pipeline(reader, bare=True, model=SHARED.model_copy(update=changes))
        fitted = len(pipeline.fit(end, progress=steps).fitted)
        return steps.seen.get((), 0), fitted  # type: ignore[attr-defined]

    assert fit(history_end) == (30, 2)
    assert fit(history_end) == (0, 0)
    assert fit(history_end, band=0.5) == (0, 2)
    assert fit(history_end, seed=1) == (30, 2)
    assert fit(history_end + STEP) == (30, 2)


def test_without_enough_history_the_old_models_stay(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """If no group can teach the network, that is the error of each, and what was fit before is still there."""
    make_pipeline(MemoryReader(frames), bare=True, model=SHARED).fit(history_end)
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=SHARED)
    result = pipeline.fit(history_end, start=history_end - 5 * STEP)
    assert [where for where, _ in result.errors] == ["instance=web-1", "instance=web-2"]
    assert all(isinstance(error, DataError) for _, error in result.errors)
    assert result.fitted == []
    assert pipeline.tick(history_end).groups == 2


def test_a_damaged_network_is_fit_again(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, steps: Callable[[Group, int, int], None]
) -> None:
    """Until then new groups have the baseline; the groups' own models do not need it."""
    make_pipeline(MemoryReader(frames), bare=True, model=SHARED).fit(history_end)
    pipeline = make_pipeline(MemoryReader(born(frames, 100)), bare=True, model=SHARED)
    card = pipeline.models.path("hosts", NEW).parent / "shared" / "card.json"
    card.write_text("{")
    result = pipeline.tick(history_end, cold_start=True)
    assert (result.groups, result.cold_start, result.errors) == (3, [NEW], [])
    assert isinstance(pipeline.models.get("hosts", NEW, cold=True), BaselineDetector)
    assert pipeline.fit(history_end, only_missing=True, progress=steps).fitted == [NEW]
    assert steps.seen == {(): 30}  # type: ignore[attr-defined]
    assert SharedNetwork.load(card.parent).card.groups == 3


def test_the_budget_bounds_the_shared_training(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """``fit_budget`` holds for the one network, and every group is served by what it has learned."""
    ticks = iter(range(0, 1_000_000, 100))
    model = SHARED.model_copy(update={"fit_budget": timedelta(minutes=5)})
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=model)
    assert pipeline.fit(history_end, clock=lambda: float(next(ticks))).fitted == [WEB_1, WEB_2]
    assert pipeline.models.get_network("hosts").card.steps == 4
