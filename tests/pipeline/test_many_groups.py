"""A tick over many groups: one transaction, one reading for those that are back, and an end for those that are gone."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.stubs import StubModels, flat_frame, host
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.events.event import Change, ResolveReason
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group

START = pd.Timestamp("2026-03-01T00:00:00Z")
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


class Begun(sqlite3.Connection):
    """Counts the transactions that are begun."""

    count = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            Begun.count += 1
        return super().execute(sql, *arguments)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite", factory=Begun) as opened:
        yield opened


@pytest.fixture
def stubbed(make_pipeline: MakePipeline, store: Store) -> Callable[..., Pipeline]:
    """Pipelines whose detectors need no network."""

    def build(frames: dict[Group, Frame], **others: Any) -> Pipeline:
        pipeline = make_pipeline(MemoryReader(frames), bare=True, store=store, **others)
        return dataclasses.replace(pipeline, models=cast(ModelStore, StubModels()))

    return build


def altered(frame: Frame, first: int, last: int, value: float) -> Frame:
    values = frame.values.copy()
    values[first:last] = value
    return Frame(frame.start, frame.step, values, frame.series)


def test_a_tick_is_one_transaction(stubbed: Callable[..., Pipeline]) -> None:
    """However many groups it scores, and no matter what happens in them."""
    frames = {host(n): flat_frame(START, 60) for n in range(40)}
    frames |= {host(n): altered(frames[host(n)], 45, 50, 3.0) for n in range(5)}
    pipeline = stubbed(frames)
    pipeline.tick(START + 40 * STEP, absent=True)
    Begun.count = 0
    result = pipeline.tick(START + 55 * STEP, absent=True)
    assert (result.groups, result.errors) == (40, [])
    assert {Change.opened, Change.resolved} <= {change.change for change in result.changes}
    assert Begun.count == 1


def test_a_group_that_is_back_is_read_for_itself(stubbed: Callable[..., Pipeline]) -> None:
    """The rows that it missed are asked for that group alone, not once more for the whole fleet."""
    frames = {host(n): flat_frame(START, 200) for n in range(3)}
    frames[host(0)] = altered(frames[host(0)], 40, 140, np.nan)
    pipeline = stubbed(frames)
    for row in range(30, 139, 2):
        pipeline.tick(START + row * STEP)
    reader = cast(MemoryReader, pipeline.reader)
    reader.requests.clear()
    result = pipeline.tick(START + 142 * STEP)
    whole, back = reader.requests
    assert whole.groups is None and whole.start > START + 100 * STEP
    assert back.groups == {host(0)} and back.start < START + 40 * STEP
    assert result.groups == 3


@pytest.mark.parametrize("absent_after", ["30m", None])
def test_the_event_of_a_group_that_is_gone_ends(stubbed: Callable[..., Pipeline], absent_after: str | None) -> None:
    """A group that vanishes during an event would have it for ever: it ends when the group is taken to be gone."""
    frames = {host(n): flat_frame(START, 400) for n in range(2)}
    frames[host(0)] = altered(altered(frames[host(0)], 40, 50, 3.0), 50, 400, np.nan)
    pipeline = stubbed(frames, monitor={"absent_after": absent_after, "forget_after": "1d"})
    changes = [change for row in range(30, 260) for change in pipeline.tick(START + row * STEP, absent=True).changes]
    ends = [change.event for change in changes if change.change is Change.resolved and change.event.kind == "anomaly"]
    assert [(event.group, event.reason, event.end) for event in ends] == [
        (host(0), ResolveReason.expired, START + 49 * STEP)
    ]
    assert pipeline.store.events("hosts", state="open") == []
    assert sum(change.event.id == ends[0].id and change.change is Change.resolved for change in changes) == 1


def test_a_memory_that_cannot_be_read_stops_no_other_group(stubbed: Callable[..., Pipeline], store: Store) -> None:
    """A group that is gone, and whose memory another version wrote, is one error; absences of others go on."""
    frames = {host(n): flat_frame(START, 60) for n in range(3)}
    limits = {"absent_after": "30m", "forget_after": "5h"}
    stubbed(frames, monitor=limits).tick(START + 10 * STEP, since=START)
    with store._database.transaction() as connection:
        connection.execute(
            "UPDATE groups SET tracker = json_set(tracker, '$.version', 99) WHERE labels LIKE '%web-000%'"
        )
    frames[host(0)] = altered(frames[host(0)], 10, 60, np.nan)
    frames[host(1)] = altered(frames[host(1)], 50, 60, np.nan)
    pipeline = stubbed(frames, monitor=limits)
    for row in (20, 30, 40, 50):
        pipeline.tick(START + row * STEP, absent=True)
    result = pipeline.tick(START + 56 * STEP, absent=True)
    assert [change.event.group for change in result.changes] == [host(1)]
    assert [where for where, _ in result.errors] == ["instance=web-000"]


def test_a_fit_during_a_tick_changes_nothing_in_it(stubbed: Callable[..., Pipeline]) -> None:
    """A group keeps the detector it was chosen with: one that is stored meanwhile is for the next tick."""

    class Fitting(StubModels):
        asked = 0

        def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
            self.asked += 1
            if self.asked > 1:
                raise ModelError("replaced meanwhile")
            return super().get(monitor, group, cold=cold)

    pipeline = dataclasses.replace(stubbed({host(0): flat_frame(START, 60)}), models=cast(ModelStore, Fitting()))
    result = pipeline.tick(START + 10 * STEP, since=START)
    assert (result.groups, result.errors) == (1, [])


def test_a_bug_in_a_cold_start_stops_no_other_group(stubbed: Callable[..., Pipeline]) -> None:
    """Its group is an error, and the rest is scored."""

    class Broken(StubModels):
        def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
            if group == host(0):
                raise RuntimeError("hunter2")
            return super().get(monitor, group, cold=cold)

    frames = {host(n): flat_frame(START, 60) for n in range(3)}
    pipeline = dataclasses.replace(stubbed(frames), models=cast(ModelStore, Broken()))
    result = pipeline.tick(START + 40 * STEP, since=START, cold_start=True)
    assert result.groups == 2
    assert {where for where, _ in result.errors} == {"instance=web-000"}
    assert "hunter2" not in str(result.errors)
