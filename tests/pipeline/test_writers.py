"""Writers in the background: none of them holds up a tick."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from tests.pipeline.stubs import StubModels, flat_frame, host
from tsdiff_monitor.errors import WriteError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.writers import BackgroundWriter, QueuedSinks
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.scores import ScoreBatch

START = pd.Timestamp("2026-03-01T00:00:00Z")
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


class Hanging(MemoryWriter):
    """Does not return until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def write(self, batch: ScoreBatch) -> None:
        self.entered.set()
        assert self.released.wait(60)
        super().write(batch)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    writer = Hanging()
    yield writer
    writer.released.set()


@pytest.fixture
def make(make_pipeline: MakePipeline) -> Callable[..., Pipeline]:
    """A monitor of three groups with these background writers."""

    def build(**writers: BackgroundWriter) -> Pipeline:
        frames = {host(n): flat_frame(START, 60) for n in range(3)}
        pipeline = make_pipeline(MemoryReader(frames), bare=True, sinks=QueuedSinks("hosts", writers))
        return dataclasses.replace(pipeline, models=cast(ModelStore, StubModels()))

    return build


def test_a_writer_that_hangs_holds_up_nothing_else(make: Callable[..., Pipeline], hanging: Hanging) -> None:
    """Ticks go on, other writers get their rows, and what comes beyond the bound is dropped and reported."""
    works = MemoryWriter()
    stuck, fine = BackgroundWriter("stuck", hanging, cells=60), BackgroundWriter("fine", works)
    pipeline = make(stuck=stuck, fine=fine)
    first = pipeline.tick(START + 10 * STEP, since=START)
    assert hanging.entered.wait(60)
    second = pipeline.tick(START + 20 * STEP)
    assert (first.groups, second.groups) == (3, 3)
    assert fine.drain(60) == 0
    assert len(works.rows) == 3 * 20
    ((where, error),) = second.errors
    assert where == "writer stuck"
    assert "does not keep up; 30 scored rows are not written" in str(error)
    hanging.released.set()
    assert stuck.drain(60) == 0
    assert len(hanging.rows) == 3 * 10


def test_a_failure_is_reported_by_the_next_tick(make: Callable[..., Pipeline]) -> None:
    """Once, with the writer's name; a bug shows no text, which may hold a secret."""
    failures: list[Exception | None] = [WriteError("disk full", recoverable=True, reason="full"), ValueError("hunter2")]
    writer = BackgroundWriter("scores", MemoryWriter(failures=failures))
    pipeline = make(scores=writer)
    assert pipeline.tick(START + 10 * STEP, since=START).errors == []
    assert writer.drain(60) == 0
    errors = pipeline.tick(START + 20 * STEP).errors
    assert [where for where, _ in errors] == ["writer scores", "writer scores"]
    assert "disk full" in str(errors[0][1]) and "hunter2" not in str(errors[1][1])
    assert writer.drain(60) == 0
    assert pipeline.tick(START + 30 * STEP).errors == []


def test_batches_are_written_in_order(make: Callable[..., Pipeline]) -> None:
    """One after the other, as the ticks were committed."""
    writer = MemoryWriter()
    queue = BackgroundWriter("scores", writer)
    pipeline = make(scores=queue)
    for row in (10, 20, 30):
        pipeline.tick(START + row * STEP, since=START)
    assert queue.drain(60) == 0
    starts: dict[Any, list[pd.Timestamp]] = {}
    for batch in writer.batches:
        starts.setdefault(batch.group, []).append(batch.frame.start)
    assert all(times == sorted(times) and len(times) == 3 for times in starts.values())


def test_a_process_that_dies_before_its_scores_are_written(
    make_pipeline: MakePipeline, hanging: Hanging, tmp_path: Path
) -> None:
    """The next one writes them, once, and sends nothing of their events again."""
    frames = {host(n): flat_frame(START, 60) for n in range(3)}
    values = frames[host(0)].values.copy()
    values[3:6] = 3.0
    frames[host(0)] = dataclasses.replace(frames[host(0)], values=values)
    with Store(tmp_path / "life.sqlite") as store:

        def life(writer: MemoryWriter) -> tuple[Pipeline, BackgroundWriter]:
            queue = BackgroundWriter("scores", writer)
            pipeline = make_pipeline(
                MemoryReader(frames), bare=True, store=store, sinks=QueuedSinks("hosts", {"scores": queue})
            )
            return dataclasses.replace(pipeline, models=cast(ModelStore, StubModels())), queue

        first, _ = life(hanging)
        changes = first.tick(START + 10 * STEP, since=START).changes + first.tick(START + 20 * STEP).changes
        events = store.events()
        writer = MemoryWriter()
        second, queue = life(writer)
        assert second.tick(START + 21 * STEP).changes == [] and changes
        assert queue.drain(60) == 0
        second.tick(START + 22 * STEP)
        assert queue.drain(60) == 0
        assert sorted({time for _, _, time in writer.rows}) == [START + n * STEP for n in range(22)]
        assert len(writer.batches) == 2 * 3
        assert store.events() == events
        third, queue = life(writer)
        third.tick(START + 23 * STEP)
        assert queue.drain(60) == 0
        assert writer.batches[-1].frame.start >= START + 21 * STEP
