"""One tick: which rows are scored, in which order things happen, and what a failure costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.errors import (
    CardVersionError,
    DamagedModelError,
    SchemaMismatchError,
    SourceError,
    TsdiffError,
    WriteError,
)
from tsdiff_monitor.frame import Frame, Group, Series, group_name
from tsdiff_monitor.pipeline import Pipeline, TickResult
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.scores import ScoreBatch
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, MemoryWriter

STEP = pd.Timedelta("10min")
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]
ScoresOf = Callable[[MemoryWriter], dict[tuple[Group, pd.Timestamp], float]]


def replayed(pipeline: Pipeline, start: pd.Timestamp, end: pd.Timestamp, chunk: pd.Timedelta) -> list[TickResult]:
    results, now = [], start
    while now < end:
        now = min(now + chunk, end)
        results.append(pipeline.tick(now, since=start))
    return results


def facts(pipeline: Pipeline) -> list[Any]:
    """What every consumer sees of the events; scores are compared by themselves."""
    events = sorted(pipeline.store.events(), key=lambda event: event.id)
    return [
        (
            event.id,
            event.start,
            event.confirmed,
            event.end,
            event.last,
            event.severity,
            event.peak_time,
            [culprit.metric for culprit in event.culprits],
            [change.key for change in pipeline.store.changes(event.id)],
        )
        for event in events
    ]


def without_columns(frame: Frame, first: int, *names: str) -> Frame:
    values = frame.values.copy()
    for name in names:
        values[first:, frame.names.index(name)] = np.nan
    return Frame(frame.start, frame.step, values, frame.series)


def test_the_size_of_ticks_changes_nothing(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp, scores_of: ScoresOf
) -> None:
    """Ticks of one row, of an hour and of a day over the same data give the same events, culprits and scores."""
    found, scored = [], []
    for chunk in (STEP, pd.Timedelta("1h"), pd.Timedelta("1D")):
        writer = MemoryWriter()
        pipeline = make_pipeline(MemoryReader(frames), writers={"scores": writer})
        results = replayed(pipeline, history_end, end, chunk)
        assert not any(result.errors for result in results)
        found.append(facts(pipeline))
        scored.append(scores_of(writer))
    assert {event[0] for event in found[0]} and len(found[0]) >= 2
    assert found[0] == found[1] == found[2]
    for other in scored[1:]:
        assert other.keys() == scored[0].keys()
        np.testing.assert_allclose(list(other.values()), [scored[0][key] for key in other], rtol=1e-5)


def test_groups_that_come_and_go_do_not_make_the_size_of_ticks_matter(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp, scores_of: ScoresOf
) -> None:
    """A group that is silent for hours is scored through its gap when it returns, whatever the ticks' size.

    The groups that share the allowance of alarms are given: it must not depend on who has data in a chunk.
    """
    quiet = without_columns(frames[WEB_1], 320, *frames[WEB_1].names).rows(0, 400).concat(frames[WEB_1].rows(400, 450))
    reader = MemoryReader({WEB_1: quiet, WEB_2: frames[WEB_2]})
    found, scored = [], []
    for chunk in (STEP, pd.Timedelta("1D")):
        writer = MemoryWriter()
        pipeline = make_pipeline(reader, writers={"scores": writer})
        now = history_end
        while now < end:
            now = min(now + chunk, end)
            pipeline.tick(now, since=history_end, groups=[WEB_1, WEB_2])
        found.append(facts(pipeline))
        scored.append(scores_of(writer))
    assert found[0] == found[1]
    assert scored[0].keys() == scored[1].keys()
    np.testing.assert_allclose(list(scored[1].values()), [scored[0][key] for key in scored[1]], rtol=1e-5)
    assert sum(group == WEB_1 for group, _ in scored[0]) == 20 + 50


def test_after_an_outage_scoring_goes_on_where_it_ended(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The first tick scores one interval, one after twenty steps the twenty rows in between, each once."""
    writer = MemoryWriter()
    pipeline = make_pipeline(MemoryReader(frames), writers={"scores": writer})
    assert pipeline.tick(history_end).rows == 2
    assert pipeline.tick(history_end + 20 * STEP).rows == 2 * 20
    times = sorted(time for _, group, time in writer.rows if group == WEB_1)
    assert times == [history_end + k * STEP for k in range(-1, 20)]
    assert pipeline.tick(history_end + 20 * STEP).rows == 0


@pytest.mark.parametrize("missed", [30, 100])
def test_catching_up_is_bounded(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, missed: int
) -> None:
    """Of an outage longer than ``max_catchup``, exactly that much is scored, however long it was."""
    writer = MemoryWriter()
    pipeline = make_pipeline(MemoryReader(frames), writers={"scores": writer}, max_catchup=timedelta(hours=2))
    pipeline.tick(history_end)
    result = pipeline.tick(history_end + missed * STEP)
    assert result.rows == 2 * 12
    assert min(batch.frame.start for batch in writer.batches[2:]) == history_end + (missed - 12) * STEP


def test_a_group_that_left_does_not_make_ticks_read_more(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Ticks read what the present groups need; a group that returns is caught up from its own last row."""
    gone = {**frames, WEB_2: frames[WEB_2].rows(0, 320)}
    reader = MemoryReader(gone)
    writer = MemoryWriter()
    pipeline = make_pipeline(reader, writers={"scores": writer})
    for row in range(300, 400, 5):
        pipeline.tick(history_end + (row - 300) * STEP)
    last = reader.requests[-1]
    assert (last.end - last.start) / STEP == 5 + pipeline.model.window
    reader.frames[WEB_2] = reader.frames[WEB_2].concat(frames[WEB_2].rows(390, 420))
    pipeline.tick(history_end + 105 * STEP)
    times = sorted(time for _, group, time in writer.rows if group == WEB_2)
    assert times == [history_end + k * STEP for k in range(-1, 105)]


def test_the_newest_rows_without_data_are_left_for_later(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Samples may only be late: rows at the end that hold nothing are scored once they do, and not as a gap."""
    late = {WEB_1: frames[WEB_1].rows(0, 305), WEB_2: frames[WEB_2]}
    reader = MemoryReader(late)
    writer = MemoryWriter()
    pipeline = make_pipeline(reader, writers={"scores": writer})
    pipeline.tick(history_end)
    pipeline.tick(history_end + 10 * STEP)
    assert pipeline.store.group_state("hosts", WEB_1).last_scored == history_end + 4 * STEP
    reader.frames = frames
    pipeline.tick(history_end + 10 * STEP)
    scored = [time for _, group, time in writer.rows if group == WEB_1]
    assert sorted(scored) == [history_end + k * STEP for k in range(-1, 10)]
    assert not np.isnan([writer.rows["hosts", WEB_1, time] for time in scored]).any()


def test_no_answer_is_no_verdict(make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp) -> None:
    """When the source fails nothing is scored or stored, and the next tick does it all."""
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


class ChoosyReader(MemoryReader):
    """Leaves out series that hold nothing in the span, as a time series database does."""

    def read(self, request: ReadRequest) -> Reading:
        frames = super().read(request).frames
        return Reading(
            {
                group: frame.select([name for k, name in enumerate(frame.names) if frame.observed[:, k].any()])
                for group, frame in frames.items()
            }
        )


def test_a_vanished_series_is_missing(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """Rows are scored from the series that are left, a warning names the vanished one, and it is never blamed."""
    vanished = ChoosyReader({WEB_1: without_columns(frames[WEB_1], 300, "cpu")})
    writer = MemoryWriter()
    pipeline = make_pipeline(vanished, writers={"scores": writer})
    result = pipeline.tick(end, since=history_end + 20 * STEP)
    assert result.warnings == ("group instance=web-1: metrics of the model that are missing now: cpu",)
    (batch,) = writer.batches
    assert batch.frame.names == ("cpu", "memory", "requests")  # always the model's order
    assert np.isfinite(batch.scores.score).all()
    assert (batch.scores.attribution[:, 0] == 0).all()
    assert pipeline.store.events()


def test_a_new_series_waits_for_the_next_fit(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """A series that the model does not know changes no score; a warning names it."""
    values = np.concatenate([frames[WEB_1].values, 1e6 * frames[WEB_1].values[:, :1]], axis=1)
    wider = Frame(frames[WEB_1].start, STEP, values, (*frames[WEB_1].series, Series("disk", query="all")))
    plain, more = MemoryWriter(), MemoryWriter()
    make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), writers={"w": plain}).tick(history_end + STEP)
    pipeline = make_pipeline(MemoryReader({WEB_1: wider}), writers={"w": more})
    result = pipeline.tick(history_end + STEP)
    assert "new, and left out until the next fit: disk" in result.warnings[0]
    assert more.rows == plain.rows


def test_a_group_without_any_known_metric_is_an_error(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """Renamed metrics are named in the error; the other group is scored."""
    renamed = Frame(
        frames[WEB_1].start, STEP, frames[WEB_1].values, tuple(Series(f"x_{n}") for n in frames[WEB_1].names)
    )
    pipeline = make_pipeline(MemoryReader({WEB_1: renamed, WEB_2: frames[WEB_2]}))
    result = pipeline.tick(history_end)
    ((where, error),) = result.errors
    assert where == "instance=web-1"
    assert isinstance(error, SchemaMismatchError)
    assert "new: x_cpu, x_memory, x_requests; missing: cpu, memory, requests" in str(error)
    assert result.groups == 1


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
    spoil(pipeline, WEB_1, "card.json", b'"schema_version": 2', b'"schema_version": 99')
    result = pipeline.tick(history_end)
    ((where, error),) = result.errors
    assert (where, result.without_model, result.groups) == ("instance=web-1", [WEB_1], 1)
    assert isinstance(error, CardVersionError)
    assert "card.json: card schema version 99, but this version reads 2; fit again" in str(error)


def test_damaged_weights_stop_only_their_group(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The error names the file and the remedy; the other group is scored, and a fit mends the first."""
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


def test_a_group_without_a_model_is_told(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """It is no error: the caller fits it."""
    other: Group = (("instance", "web-3"),)
    pipeline = make_pipeline(MemoryReader({**frames, other: frames[WEB_1]}))
    result = pipeline.tick(history_end)
    assert (result.without_model, result.errors, result.groups) == ([other], [], 2)


def test_only_the_groups_asked_for_are_scored(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """The others count as those without a model, and have no share in the allowance of alarms."""
    alone, shared = MemoryWriter(), MemoryWriter()
    pipeline = make_pipeline(MemoryReader(frames), writers={"w": alone})
    result = pipeline.tick(history_end, groups=[WEB_1])
    assert (result.groups, result.without_model) == (1, [WEB_2])
    make_pipeline(MemoryReader(frames), writers={"w": shared}).tick(history_end)
    (time,) = {time for _, _, time in alone.rows}
    assert alone.rows["hosts", WEB_1, time] > shared.rows["hosts", WEB_1, time]  # a larger share, a lower threshold


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

    def commit(self, *args: Any, **options: Any) -> None:
        if not self.crashed:
            self.crashed = True
            raise CrashError
        super().commit(*args, **options)


def test_a_crash_between_writer_and_commit_doubles_nothing(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp, tmp_path: Path
) -> None:
    """The next tick writes the same rows again and commits: the same events as without the crash, each once."""
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
        first, second = writer.batches
        np.testing.assert_array_equal(first.scores.score, second.scores.score)
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


def test_a_rule_silences_a_direction(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """Queries that only care about values below what is expected raise nothing on values far above."""
    rule = {"queries": {"all": {"expr": "*", "detection_direction": "below_expected"}}}
    pipeline = make_pipeline(MemoryReader(frames), monitor=rule)
    incident = range(50, 58)
    pipeline.tick(end, since=history_end)
    starts = {event.start for event in pipeline.store.events() if event.group == WEB_1}
    assert not starts & {history_end + k * STEP for k in incident}


def test_events_name_what_was_expected(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """A culprit's actual value is the row's own; its band is finite and in order."""
    pipeline = make_pipeline(MemoryReader(frames))
    pipeline.tick(end, since=history_end)
    event = max(pipeline.store.events(), key=lambda event: event.peak)
    frame = frames[event.group]
    for culprit in event.culprits[:1]:
        row = frame.row(event.peak_time)
        assert culprit.actual == pytest.approx(float(frame.values[row, frame.names.index(culprit.metric)]))
        assert culprit.expected_lower is not None and culprit.expected is not None
        assert culprit.expected_upper is not None
        assert culprit.expected_lower <= culprit.expected <= culprit.expected_upper


def test_a_bug_in_one_group_stops_only_that_one(
    make_pipeline: MakePipeline, frames: Frames, history_end: pd.Timestamp
) -> None:
    """An exception that nobody planned for is reported with its place but without its text."""

    class Odd(Frame):
        @property
        def names(self) -> tuple[str, ...]:
            raise KeyError("token=hunter2")

    class OddReader(MemoryReader):
        def read(self, request: ReadRequest) -> Reading:
            found = dict(super().read(request).frames)
            whole = found[WEB_1]
            odd = object.__new__(Odd)
            for name in ("start", "step", "values", "series"):
                object.__setattr__(odd, name, getattr(whole, name))
            return Reading({**found, WEB_1: odd})

    result = make_pipeline(OddReader(frames)).tick(history_end)
    ((where, error),) = result.errors
    assert where == group_name(WEB_1)
    assert type(error) is TsdiffError
    assert "unexpected KeyError at" in str(error) and "hunter2" not in str(error)
    assert result.groups == 1
