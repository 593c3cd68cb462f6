"""The monitor's allowance of false alarms, split over the groups it knows; and what a split changes in a group."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.pipeline.conftest import MODEL
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.alarm_rate import share_of
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.scoring.drift import Drift
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)
STEP = pd.Timedelta("10min")
TICKS = 20
MakePipeline = Callable[..., Pipeline]
Frames = dict[Group, Frame]


def drift_of(pipeline: Pipeline, group: Group = WEB_1) -> Drift:
    """The stored summary of the group's scores."""
    tracker = pipeline.store.group_state("hosts", group).tracker_json
    assert tracker is not None
    return Drift.from_json(tracker["drift"])


def watched(pipeline: Pipeline, start: pd.Timestamp, first: int, last: int) -> None:
    for row in range(first, last):
        pipeline.tick(start + STEP * (row + 1))


@pytest.fixture
def followed(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> Pipeline:
    """A pipeline whose two groups have been scored for twenty ticks."""
    pipeline = make_pipeline(MemoryReader(frames))
    watched(pipeline, history_end, 0, TICKS)
    assert len(drift_of(pipeline).pieces) > 6
    return pipeline


def test_a_group_that_is_gone_moves_no_threshold_of_another(
    followed: Pipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """While it may come back it keeps its share: the other's thresholds and drift history stay."""
    before = drift_of(followed)
    alone = dataclasses.replace(followed, reader=MemoryReader({WEB_1: frames[WEB_1]}))
    watched(alone, history_end, TICKS, TICKS + 2)
    after = drift_of(followed)
    assert after.normal == before.normal
    assert after.pieces[: len(before.pieces)] == before.pieces


def test_a_forgotten_group_has_no_share(followed: Pipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """After ``forget_after`` the others may raise more; their drift history goes on in units of the new threshold."""
    before = drift_of(followed)
    monitor = followed.monitor.model_copy(update={"forget_after": 2 * STEP.to_pytimedelta()})
    alone = dataclasses.replace(followed, reader=MemoryReader({WEB_1: frames[WEB_1]}), monitor=monitor)
    watched(alone, history_end, TICKS, TICKS + 2)
    after = drift_of(followed)
    ratio = after.normal / before.normal
    assert ratio > 1.05
    kept = after.pieces[: len(before.pieces)]
    assert [piece for piece, _ in kept] == [piece for piece, _ in before.pieces]
    assert [level for _, level in kept] == pytest.approx([level * ratio for _, level in before.pieces])


def test_groups_asked_for_share_by_their_number(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """With ``groups`` the allowance is theirs, no matter what else the source has."""
    pipeline = make_pipeline(MemoryReader(frames))
    both, one = make_pipeline(MemoryReader(frames)), make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}))
    pipeline.tick(history_end + STEP, groups=[WEB_1])
    both.tick(history_end + STEP)
    one.tick(history_end + STEP)
    assert drift_of(pipeline).normal == drift_of(one).normal > drift_of(both).normal


@pytest.mark.parametrize("model", [MODEL, BaselineModelConfig(window=16)], ids=["diffusion", "baseline"])
def test_a_new_fit_starts_the_drift_anew_and_a_restart_does_not(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, model: ModelConfig
) -> None:
    """The scores that were followed belong to one fit, which is the same one when it is read from the disk again."""
    pipeline = make_pipeline(MemoryReader(frames), bare=True, model=model)
    pipeline.fit(history_end, start=history_end - 300 * STEP)
    watched(pipeline, history_end, 0, TICKS)
    before = drift_of(pipeline)
    restarted = dataclasses.replace(pipeline, models=ModelStore(pipeline.models.path("hosts", WEB_1).parents[1]))
    watched(restarted, history_end, TICKS, TICKS + 1)
    assert drift_of(restarted).pieces[: len(before.pieces)] == before.pieces
    assert restarted.fit(history_end + STEP * TICKS, start=history_end - 280 * STEP).fitted == [WEB_1, WEB_2]
    watched(restarted, history_end, TICKS + 1, TICKS + 2)
    assert drift_of(restarted).pieces == []
    assert drift_of(restarted).model != before.model


def test_the_reference_model_has_an_identity_too(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Its scores name the same fit before and after it is stored, and another fit otherwise."""
    config = CsdiReferenceConfig(
        window=16, channels=8, layers=1, fit_steps=10, calibration_windows=4,
        fit_window=(300 * STEP).to_pytimedelta(),
    )  # fmt: skip
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), bare=True, model=config)
    marks: list[Any] = []
    for shift in (0, 10):
        pipeline.fit(history_end + shift * STEP)
        again = ModelStore(pipeline.models.path("hosts", WEB_1).parents[1])
        frame = frames[WEB_1].between(history_end, history_end + 20 * STEP)
        marks.append([models.get("hosts", WEB_1).score(frame, first=19).model for models in (pipeline.models, again)])
    (first, first_again), (second, second_again) = marks
    assert first == first_again != second == second_again


@pytest.mark.parametrize(
    ("groups", "counted"),
    [(0, 1), (1, 1), (3, 3), (8, 8), (9, 128**0.5), (11, 128**0.5), (12, 16), (16, 16), (17, 512**0.5)],
)
def test_many_groups_share_by_a_rounded_number(groups: int, counted: float) -> None:
    """Exact up to eight; above that a few groups that come and go move nothing, and the share is never too large."""
    assert share_of(3.0, groups) == pytest.approx(3.0 / counted)
