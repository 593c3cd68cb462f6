"""The cost of a failure in a tick: of the source, a model, a writer, the process, or our own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.pipeline.replays import WEB_1, WEB_2, Frames, MakePipeline, facts, replayed
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, SourceError, TsdiffError, WriteError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name
from tsdiff_monitor.timeseries.scores import ScoreBatch


def test_no_answer_is_no_verdict(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """If the source fails nothing is scored or stored, and the next tick does it all."""
    reader = MemoryReader(frames, failures=[SourceError("no route to host", reason="timeout")])
    pipeline = make_pipeline(reader)
    with pytest.raises(SourceError, match="no route"):
        pipeline.tick(history_end)
    assert pipeline.store.groups("hosts") == []
    assert pipeline.tick(history_end).rows == 2


class PartialReader(MemoryReader):
    """Answers, and says that something is left out."""

    warnings: tuple[str, ...] = ("1 of 2 shards did not answer",)

    def read(self, request: ReadRequest) -> Reading:
        return Reading(super().read(request).frames, self.warnings, partial=True)


def test_part_of_an_answer_is_no_answer(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """A partial reading raises ``SourceError`` with the source's own words, in ticks and fits; no score is made."""
    pipeline = make_pipeline(PartialReader(frames))
    for work in (pipeline.tick, pipeline.fit):
        with pytest.raises(SourceError, match=r"only part of an answer.*1 of 2 shards") as raised:
            work(history_end)
        assert raised.value.reason == "partial"
    assert pipeline.store.groups("hosts") == []


def spoil(pipeline: Pipeline, group: Group, name: str, old: bytes, new: bytes) -> Path:
    (path,) = pipeline.models.path("hosts", group).glob(name)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    return path


def test_a_model_of_another_version_stops_only_its_group(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The error names file, both versions and the remedy; the group counts as one without a model."""
    pipeline = make_pipeline(MemoryReader(frames))
    spoil(pipeline, WEB_1, "card.json", b'"schema_version": 3', b'"schema_version": 99')
    result = pipeline.tick(history_end)
    ((where, error),) = result.errors
    assert (where, result.without_model, result.groups) == ("instance=web-1", [WEB_1], 1)
    assert isinstance(error, CardVersionError)
    assert "card.json: card schema version 99, but this version reads 3; fit again" in str(error)


def test_damaged_weights_stop_only_their_group(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The error names the file and the remedy; the other group is scored, and a fit fixes the first."""
    pipeline = make_pipeline(MemoryReader(frames))
    (weights,) = pipeline.models.path("hosts", WEB_1).glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-100])
    result = pipeline.tick(history_end)
    ((_, error),) = result.errors
    assert isinstance(error, DamagedModelError)
    assert str(weights) in str(error) and "fit again" in str(error)
    assert result.groups == 1
    assert pipeline.fit(history_end, only_missing=True).fitted == [WEB_1]
    assert pipeline.tick(history_end).groups == 1


@pytest.mark.parametrize("failure", [WriteError("503", recoverable=True, reason="status"), ZeroDivisionError("secret")])
def test_a_failing_writer_loses_no_event(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp, failure: Exception
) -> None:
    """Its error is reported, the other writer gets its rows, events and progress are committed."""
    works = MemoryWriter()
    pipeline = make_pipeline(
        MemoryReader(frames), writers={"broken": MemoryWriter(failures=[failure, failure]), "works": works}
    )
    result = pipeline.tick(end, since=history_end)
    assert {where for where, _ in result.errors} == {"writer broken"}
    assert "secret" not in str(result.errors)
    assert len(works.batches) == 2
    assert {event.group for event in pipeline.store.events()} == {WEB_1, WEB_2}
    assert pipeline.store.counts()["pending"] == len(result.changes) > 0
    assert pipeline.tick(end, since=history_end).rows == 0


class CrashError(BaseException):
    """The process dies here."""


class CrashingStore(Store):
    """Dies on the first commit, before anything is written."""

    crashed = False

    def commit_tick(self, *args: Any, **options: Any) -> None:
        if not self.crashed:
            self.crashed = True
            raise CrashError
        super().commit_tick(*args, **options)


def test_a_crash_before_the_commit_writes_and_doubles_nothing(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp, tmp_path: Path
) -> None:
    """Writers come after the commit; the next tick leads to the same events as without the crash, each once."""
    reader = MemoryReader({WEB_1: frames[WEB_1]})
    undisturbed = make_pipeline(reader)
    undisturbed.tick(end, since=history_end)
    writer = MemoryWriter()
    with CrashingStore(tmp_path / "crash.sqlite") as store:
        pipeline = make_pipeline(reader, store=store, writers={"scores": writer})
        with pytest.raises(CrashError):
            pipeline.tick(end, since=history_end)
        assert store.events() == [] and store.counts()["pending"] == 0
        pipeline.tick(end, since=history_end)
        assert len(writer.batches) == 1
        assert facts(pipeline) == facts(undisturbed)
        assert store.counts() == undisturbed.store.counts()


class ExplodingWriter(MemoryWriter):
    """Dies on a group's second batch."""

    def write(self, batch: ScoreBatch) -> None:
        if any(one.group == batch.group for one in self.batches):
            raise CrashError
        super().write(batch)


def test_a_crash_in_the_middle_of_a_replay_is_made_good(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """Half of the groups committed, the other half not: going on gives what an undisturbed run gives."""
    undisturbed = make_pipeline(MemoryReader(frames))
    replayed(undisturbed, history_end, end, pd.Timedelta("8h"))
    pipeline = make_pipeline(MemoryReader(frames), writers={"w": ExplodingWriter()})
    with pytest.raises(CrashError):
        replayed(pipeline, history_end, end, pd.Timedelta("8h"))
    resumed = dataclasses.replace(pipeline, writers={})
    replayed(resumed, history_end, end, pd.Timedelta("8h"))
    assert facts(resumed) == facts(undisturbed)


def test_a_bug_in_one_group_stops_only_that_one(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """An exception that no one planned for is reported with its place but without its text."""

    class Unusual(Frame):
        @property
        def names(self) -> tuple[str, ...]:
            raise KeyError("token=hunter2")

    class OddReader(MemoryReader):
        def read(self, request: ReadRequest) -> Reading:
            found = dict(super().read(request).frames)
            whole = found[WEB_1]
            unusual = object.__new__(Unusual)
            for name in ("start", "step", "values", "series"):
                object.__setattr__(unusual, name, getattr(whole, name))
            return Reading({**found, WEB_1: unusual})

    result = make_pipeline(OddReader(frames)).tick(history_end)
    ((where, error),) = result.errors
    assert where == group_name(WEB_1)
    assert type(error) is TsdiffError
    assert "unexpected KeyError at" in str(error) and "hunter2" not in str(error)
    assert result.groups == 1
