"""One tick: which rows of which groups and series are scored, and what follows from them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tests.pipeline.replays import STEP, WEB_1, WEB_2, Frames, MakePipeline, ScoresOf, facts, replayed
from tsdiff_monitor.errors import SchemaMismatchError
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group, Series


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
    """A group that is silent for hours is scored through its gap when it returns, with ticks of any size.

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


def test_a_group_without_a_model_is_reported(
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
