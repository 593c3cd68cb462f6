"""Writers in the background: none of them holds up a tick."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.stubs import StubDetector, StubModels, flat_frame, host
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.writers import BackgroundWriter, QueuedSinks
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group
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
    stuck, fine = BackgroundWriter("stuck", hanging, cells=120, patience=0.01), BackgroundWriter("fine", works)
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


def test_an_exit_asked_for_by_a_writer_stops_no_batch(make: Callable[..., Pipeline]) -> None:
    """Third-party code may raise what is no ``Exception``: reported once, and the next batch is written."""

    class Leaving(MemoryWriter):
        calls = 0

        def write(self, batch: ScoreBatch) -> None:
            self.calls += 1
            if self.calls == 1:
                raise SystemExit(3)
            super().write(batch)

    works = Leaving()
    writer = BackgroundWriter("scores", works)
    pipeline = make(scores=writer)
    pipeline.tick(START + 10 * STEP, since=START)
    assert writer.drain(60) == 0
    assert works.calls == 3
    ((_, error),) = pipeline.tick(START + 20 * STEP).errors
    assert "unexpected SystemExit at" in str(error)


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


class Lost(QueuedSinks):
    """The process dies before a writer has anything of a tick."""

    def write(self, batches: Iterable[ScoreBatch]) -> list[tuple[str, TsdiffError]]:
        list(batches)
        return []


class Restarts:
    """Lives of one daemon over one state, whose writer keeps what it got."""

    def __init__(self, make_pipeline: MakePipeline, store: Store, models: StubModels | None = None) -> None:
        self.got = MemoryWriter()
        self._make = make_pipeline
        self._store = store
        self.models = models or StubModels()

    def life(self, frames: dict[Group, Frame], *, lost: bool = False) -> tuple[Pipeline, BackgroundWriter]:
        queue = BackgroundWriter("scores", self.got)
        sinks = (Lost if lost else QueuedSinks)("hosts", {"scores": queue})
        pipeline = self._make(MemoryReader(frames), bare=True, store=self._store, sinks=sinks)
        return dataclasses.replace(pipeline, models=cast(ModelStore, self.models)), queue

    def times(self, group: Group) -> list[pd.Timestamp]:
        return sorted(time for _, one, time in self.got.rows if one == group)


def until(frame: Frame, row: int) -> Frame:
    """The frame without values from a row on."""
    values = frame.values.copy()
    values[row:] = np.nan
    return dataclasses.replace(frame, values=values)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "lives.sqlite") as opened:
        yield opened


def test_a_group_that_lags_loses_no_row(make_pipeline: MakePipeline, store: Store) -> None:
    """The writers' progress is known by group: one whose samples come late is written from where it stood."""
    frames = {host(n): flat_frame(START, 60) for n in range(2)}
    restarts = Restarts(make_pipeline, store)
    first, queue = restarts.life({**frames, host(1): until(frames[host(1)], 9)})
    first.tick(START + 10 * STEP, since=START)
    assert queue.drain(60) == 0
    restarts.life({**frames, host(1): until(frames[host(1)], 10)}, lost=True)[0].tick(START + 11 * STEP)
    third, queue = restarts.life(frames)
    third.tick(START + 12 * STEP)
    assert queue.drain(60) == 0
    assert restarts.times(host(1)) == [START + n * STEP for n in range(12)]


def test_a_first_tick_that_fails_loses_no_row(make_pipeline: MakePipeline, store: Store) -> None:
    """The rows that the process before left are written with the first tick of the group that succeeds."""

    class Flaky(StubModels):
        failing = False

        def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
            if self.failing:
                raise RuntimeError("a bug")
            return super().get(monitor, group, cold=cold)

    models = Flaky()
    restarts = Restarts(make_pipeline, store, models)
    frames = {host(0): flat_frame(START, 60)}
    first, queue = restarts.life(frames)
    first.tick(START + 10 * STEP, since=START)
    assert queue.drain(60) == 0
    restarts.life(frames, lost=True)[0].tick(START + 11 * STEP)
    third, queue = restarts.life(frames)
    models.failing = True
    assert third.tick(START + 12 * STEP).errors
    models.failing = False
    assert third.tick(START + 13 * STEP).errors == []
    assert queue.drain(60) == 0
    assert restarts.times(host(0)) == [START + n * STEP for n in range(13)]


def test_a_writer_that_works_is_waited_for(make_pipeline: MakePipeline, store: Store) -> None:
    """Catching up brings more than may wait: nothing is dropped while the writer takes one batch after the other."""
    frames = {host(n): flat_frame(START, 150) for n in range(20)}
    writer = MemoryWriter()
    queue = BackgroundWriter("scores", writer, cells=1200)
    pipeline = make_pipeline(MemoryReader(frames), bare=True, store=store, sinks=QueuedSinks("hosts", {"w": queue}))
    pipeline = dataclasses.replace(pipeline, models=cast(ModelStore, StubModels()))
    assert pipeline.tick(START + 144 * STEP, since=START).errors == []
    assert queue.drain(60) == 0
    assert len(writer.rows) == 20 * 144


def test_what_comes_while_the_thread_ends_is_written() -> None:
    """A batch that is put after the thread has looked, and before its lane is free, does not wait for the next one."""
    writer = MemoryWriter()
    queue = BackgroundWriter("scores", writer)
    frame = flat_frame(START, 3)
    batch = ScoreBatch("hosts", "m", "s", host(0), frame, StubDetector().score(frame))
    work, ended, go = queue._work, threading.Event(), threading.Event()

    def slow() -> None:
        work()
        ended.set()
        assert go.wait(60)

    queue._work = slow  # type: ignore[method-assign]
    queue.put(batch)
    assert ended.wait(60)
    queue._work = work  # type: ignore[method-assign]
    queue.put(batch)
    go.set()
    assert queue.drain(60) == 0
    assert len(writer.batches) == 2


def test_groups_that_are_gone_are_forgotten_by_the_sinks(make_pipeline: MakePipeline) -> None:
    """Memory of written rows does not grow with groups that come and go."""
    queue = BackgroundWriter("scores", MemoryWriter())
    sinks = QueuedSinks("hosts", {"scores": queue})
    frame = flat_frame(START, 3)
    sinks.write(ScoreBatch("hosts", "m", "s", host(n), frame, StubDetector().score(frame)) for n in range(5))
    assert queue.drain(60) == 0
    sinks.retain({host(0)})
    assert set(sinks.written()) == {host(0)} and not sinks.has_taken(host(1))
