"""Groups without a fitted model: scored by a baseline from their first hours, until the model is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta

import pandas as pd
import pytest

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.errors import DataError, SourceError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import FakeClock, MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

STEP = pd.Timedelta("10min")
FITTED = 300
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)
NEW: Group = (("instance", "web-3"),)
LONG = DiffusionModelConfig(window=128, width=16, layers=1, fit_steps=10, samples=8, fit_window=STEP * FITTED)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]


def born(frames: Frames, rows: int) -> Frames:
    """A new group, there for so many rows at the end of the others' history."""
    return {**frames, NEW: frames[WEB_1].rows(FITTED - rows, 450)}


def hours_of(pipeline: Pipeline) -> float:
    """Hours of history that the new group's baseline was fit on."""
    detector = pipeline.models.get("hosts", NEW, cold=True)
    assert isinstance(detector, BaselineDetector)
    return (pd.Timestamp(detector.card.fit_end) - pd.Timestamp(detector.card.fit_start)) / pd.Timedelta("1h")


def test_a_new_group_is_scored_from_its_first_hours(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """It is scored at once, reported as one in cold start, and still asks for its model; the others have theirs."""
    writer = MemoryWriter()
    pipeline = make_pipeline(MemoryReader(born(frames, 40)), writers={"w": writer})
    result = pipeline.tick(history_end, cold_start=True)
    assert (result.groups, result.errors) == (3, [])
    assert result.cold_start == result.without_model == [NEW]
    assert {group for _, group, _ in writer.rows} == {WEB_1, WEB_2, NEW}


def test_without_being_asked_for_there_is_none(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """A caller that fits right away wants the model's scores; and `cold_start: none` waits for the model."""
    waiting = LONG.model_copy(update={"cold_start": "none"})
    for pipeline, asked in (
        (make_pipeline(MemoryReader(born(frames, 40))), False),
        (make_pipeline(MemoryReader(born(frames, 40)), model=waiting), True),
        (make_pipeline(MemoryReader(born(frames, 40)), model=BaselineModelConfig()), True),
    ):
        result = pipeline.tick(history_end, cold_start=asked)
        assert (result.groups, result.cold_start, result.without_model) == (2, [], [NEW])


def test_the_model_takes_over_as_soon_as_it_is_fit(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """From the next tick on the group is scored by its model, and nothing of the baseline is left."""
    pipeline = make_pipeline(MemoryReader(born(frames, 60)))
    pipeline.tick(history_end, cold_start=True)
    folder = pipeline.models.path("hosts", NEW, cold=True)
    assert [path.name for path in folder.iterdir()] == ["card.json"]
    assert pipeline.fit(history_end, only_missing=True).fitted == [NEW]
    result = pipeline.tick(history_end + STEP, cold_start=True)
    assert (result.groups, result.cold_start, result.without_model) == (3, [], [])
    assert not folder.exists()
    assert isinstance(pipeline.models.get("hosts", NEW), DiffusionDetector)


def test_a_fit_that_fails_leaves_the_cold_start_at_work(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """A history too short for the model is an error of the fit; the group is scored on, by a new process too."""
    reader = MemoryReader({NEW: frames[WEB_1].rows(FITTED - 40, 450)})
    pipeline = make_pipeline(reader, bare=True, model=LONG)
    for row in range(3):
        now = history_end + row * STEP
        result = make_pipeline(reader, bare=True, model=LONG, store=pipeline.store).tick(now, cold_start=True)
        assert (result.rows, result.cold_start, result.errors) == (1, [NEW], [])
        ((_, error),) = pipeline.fit(now, only_missing=True).errors
        assert isinstance(error, DataError)
        assert "at least one window of 128 rows" in str(error)


def test_an_hour_of_nothing_is_no_history(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """With fewer than 32 rows a group waits, without an error, and without more being read from the source for it."""
    reader = MemoryReader(born(frames, 20))
    result = make_pipeline(reader).tick(history_end, cold_start=True)
    assert (result.groups, result.cold_start, result.without_model, result.errors) == (2, [], [NEW], [])
    assert len(reader.requests) == 1


def test_history_is_read_once_and_again_when_it_has_doubled(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The first hours teach little: the baseline is fit anew after twice the time, and not at every tick."""
    reader = MemoryReader({NEW: frames[WEB_2].rows(FITTED - 40, 450)})
    pipeline = make_pipeline(reader, bare=True, model=LONG)
    hours = []
    for row in range(100):
        pipeline.tick(history_end + row * STEP, cold_start=True)
        hours.append(round(hours_of(pipeline), 1))
    assert sorted(set(hours)) == [6.5, 13.0]  # 39 rows before the first one scored, then 78
    assert hours.index(13.0) == 39
    assert len(reader.requests) == 100 + 2


def test_a_baseline_never_judges_a_row_it_was_fit_on(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """It is fit on the rows before the first one to score, also when many are caught up."""
    pipeline = make_pipeline(MemoryReader(born(frames, 60)))
    pipeline.tick(history_end + 20 * STEP, since=history_end, cold_start=True)
    detector = pipeline.models.get("hosts", NEW, cold=True)
    assert isinstance(detector, BaselineDetector)
    assert pd.Timestamp(detector.card.fit_end) == history_end


def test_an_incident_in_the_cold_start_is_an_event(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """It opens at the right time with its culprits and what they should have been; quiet hours before open none."""
    pipeline = make_pipeline(MemoryReader({NEW: frames[WEB_1].rows(FITTED - 100, 450)}), bare=True)
    for row in range(1, 66):
        pipeline.tick(history_end + row * STEP, cold_start=True)
    (event,) = pipeline.store.events()
    assert event.group == NEW
    assert history_end + 49 * STEP <= event.start <= history_end + 52 * STEP
    culprit = event.culprits[0]
    assert culprit.expected_lower is not None and culprit.expected_upper is not None
    assert culprit.actual is not None and culprit.actual > culprit.expected_upper > culprit.expected_lower


def test_incidents_are_not_learned_as_normal(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Rows inside the group's known events are hidden from the baseline's fit, as they are from the model's."""
    pipeline = make_pipeline(MemoryReader({NEW: frames[WEB_1].rows(FITTED - 100, 450)}), bare=True, model=LONG)
    for row in range(1, 110):
        pipeline.tick(history_end + row * STEP, cold_start=True)
    detector = pipeline.models.get("hosts", NEW, cold=True)
    assert isinstance(detector, BaselineDetector)
    assert pd.Timestamp(detector.card.fit_end) > history_end + 58 * STEP  # the incident lies within
    usual = frames[WEB_1].rows(FITTED - 100, FITTED).values.std(0)
    scales = [metric.scale for metric in detector.card.metrics]
    assert all(scale < 1.5 * std for scale, std in zip(scales, usual, strict=True))


class LongReadsFail(MemoryReader):
    """A source that gives up on long spans."""

    def read(self, request: ReadRequest) -> Reading:
        if request.end - request.start > 1000 * STEP:
            raise SourceError("too many points", reason="limit")
        return super().read(request)


def test_a_source_that_cannot_give_history_holds_up_no_other_group(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The groups that have a model are scored, and the error is reported."""
    result = make_pipeline(LongReadsFail(born(frames, 60))).tick(history_end, cold_start=True)
    assert (result.groups, result.cold_start) == (2, [])
    assert [(where, str(error)) for where, error in result.errors] == [("cold start", "too many points")]


def test_a_damaged_baseline_is_fit_anew(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """It costs a fit, not the group's scores."""
    reader = MemoryReader(born(frames, 60))
    first = make_pipeline(reader)
    first.tick(history_end, cold_start=True)
    card = first.models.path("hosts", NEW, cold=True) / "card.json"
    card.write_text(card.read_text().replace('"widening": 1', '"widening": 9'))
    result = make_pipeline(reader, store=first.store).tick(history_end + STEP, cold_start=True)
    assert (result.cold_start, result.errors) == ([NEW], [])
    assert json.loads(card.read_text())["widening"] < 2


def test_a_damaged_model_is_reported_and_replaced(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The error names the file, the group is to be fit again, and is scored meanwhile."""
    pipeline = make_pipeline(MemoryReader(frames))
    (pipeline.models.path("hosts", WEB_1) / "card.json").write_text("{")
    result = pipeline.tick(history_end, cold_start=True)
    assert (result.groups, result.cold_start, result.without_model) == (2, [WEB_1], [WEB_1])
    assert "not a readable card" in str(result.errors[0][1])


def test_many_new_groups_do_not_hold_up_a_tick(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Fits of baselines stop after one interval; the groups left over have their turn at the next ticks."""
    many = {(("instance", f"new-{k}"),): frames[WEB_1].rows(FITTED - 60, 450) for k in range(4)}
    clock = FakeClock()

    class SlowReader(MemoryReader):
        pass

    def ticking() -> float:
        clock.advance(timedelta(minutes=4).total_seconds())
        return clock()

    pipeline = make_pipeline(SlowReader(many), bare=True, model=LONG)
    first = pipeline.tick(history_end, cold_start=True, clock=ticking)
    assert len(first.cold_start) == 2  # of an interval of ten minutes
    second = pipeline.tick(history_end + STEP, cold_start=True, clock=ticking)
    assert len(second.cold_start) == 4


@pytest.mark.parametrize("method", ["smoothing", "seasonal"])
def test_the_configuration_names_the_method(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, method: str
) -> None:
    """A baseline of another method than the configuration's is fit anew."""
    reader: Mapping[Group, Frame] = born(frames, 60)
    pipeline = make_pipeline(MemoryReader(reader), model=LONG)
    pipeline.tick(history_end, cold_start=True)
    other = LONG.model_copy(update={"cold_start": method})
    changed = make_pipeline(MemoryReader(reader), model=other, store=pipeline.store)
    changed.tick(history_end + STEP, cold_start=True)
    detector = changed.models.get("hosts", NEW, cold=True)
    assert isinstance(detector, BaselineDetector)
    assert detector.config.method == method
