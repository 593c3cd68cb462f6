"""Effects of the options of queries and ``provide_series`` on a monitor's way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.scoring.rules import IMPOSSIBLE
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


def test_a_value_that_cannot_be_right_is_anomalous_and_not_learned(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """However small its deviation: the row scores above 1, and a fit does not see the value."""
    frame = frames[WEB_1]
    name = frame.names[0]
    values = frame.values.copy()
    row = frame.row(history_end)
    limit = float(np.nanmax(values[:, 0])) + 1.0
    values[row, 0] = limit + 0.01
    source = MemoryReader({WEB_1: Frame(frame.start, frame.step, values, frame.series)})
    writer = MemoryWriter()
    queries = {"first": {"expr": name, "data_range": [-limit, limit]}, "rest": "*"}
    pipeline = make_pipeline(source, monitor={"queries": queries, "write": ["kept"]}, writers={"kept": writer})

    pipeline.tick(history_end + STEP, since=history_end)
    (batch,) = writer.batches
    assert batch.scores.score[0] >= IMPOSSIBLE
    assert batch.scores.attribution[0, 0] > 0

    seen = pipeline.history(WEB_1, pipeline.read(pipeline.request(frame.start, frame.end)).frames[WEB_1])
    assert np.isnan(seen.values[row, 0])
    assert np.isnan(seen.values).sum() == np.isnan(frame.values[: len(seen)]).sum() + 1


def test_options_reach_the_reader(make_pipeline: MakePipeline, frames: dict[Group, Frame]) -> None:
    """A reader is asked each query as the user wrote it."""
    written = {"expr": "*", "step": "1d", "offset": "5m", "tz": "Europe/Berlin", "max_points_per_query": 100}
    pipeline = make_pipeline(MemoryReader(frames), monitor={"queries": {"daily": written, "plain": "*"}})
    daily, plain = pipeline.request(frames[WEB_1].start, frames[WEB_1].end).queries
    assert (daily.step, daily.offset, daily.tz) == (pd.Timedelta("1D"), pd.Timedelta("5min"), "Europe/Berlin")
    assert daily.max_points_per_query == 100
    assert (plain.step, plain.offset, plain.tz, plain.max_points_per_query) == (None, pd.Timedelta(0), None, None)


def test_writers_get_expected_values_when_asked_to(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """With ``provide_series`` every new row comes with each metric's expected value inside its band; without, none."""
    for wanted in (True, False):
        writer = MemoryWriter()
        pipeline = make_pipeline(
            MemoryReader({WEB_1: frames[WEB_1]}),
            monitor={"provide_series": wanted, "write": ["kept"]},
            writers={"kept": writer},
        )
        pipeline.tick(history_end + 3 * STEP, since=history_end)
        (batch,) = writer.batches
        if not wanted:
            assert batch.expected is None
            continue
        assert batch.expected is not None
        assert batch.expected.times.equals(batch.frame.times)
        assert batch.expected.series == batch.frame.series
        assert (batch.expected.yhat_lower <= batch.expected.yhat).all()
        assert (batch.expected.yhat <= batch.expected.yhat_upper).all()
