"""One fit: what it learns from, what it leaves alone, and what a failure costs."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.errors import DataError, OutputError, SourceError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import MemoryReader, example_change, example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

STEP = pd.Timedelta("10min")
WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)

Frames = dict[Group, Frame]
MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def histories() -> Frames:
    """Small ones, so that a fit takes a moment."""
    return {
        group: example_frame(120, step="10min", group=group, seed=seed) for seed, group in enumerate((WEB_1, WEB_2))
    }


def end_of(frames: Frames) -> pd.Timestamp:
    return max(frame.end for frame in frames.values())


def card(pipeline: Pipeline, group: Group) -> dict[str, object]:
    return json.loads((pipeline.models.path("hosts", group) / "card.json").read_text())


def location(pipeline: Pipeline, group: Group) -> float:
    """The mean of the first metric, as the model's scaler has learned it."""
    metrics = card(pipeline, group)["metrics"]
    assert isinstance(metrics, list)
    return float(metrics[0]["location"])


def test_a_fit_asked_for_twice_does_nothing(make_pipeline: MakePipeline, histories: Frames) -> None:
    """Models fit on exactly these rows are kept; when rows come, they are fit again."""
    reader = MemoryReader(histories)
    pipeline = make_pipeline(reader, bare=True)
    end = end_of(histories)
    assert pipeline.fit(end - STEP).fitted == [WEB_1, WEB_2]
    again = make_pipeline(reader, bare=True).fit(end - STEP)  # another process: nothing is in its memory
    assert (again.fitted, again.current) == ([], [WEB_1, WEB_2])
    assert pipeline.fit(end).fitted == [WEB_1, WEB_2]
    assert pipeline.fit(end, only_missing=True).current == [WEB_1, WEB_2]


def test_history_may_begin_later_than_asked_for(make_pipeline: MakePipeline, histories: Frames) -> None:
    """Empty rows at either end of the fit window are no history."""
    pipeline = make_pipeline(MemoryReader(histories), bare=True)
    pipeline.fit(end_of(histories) + 50 * STEP)
    assert card(pipeline, WEB_1)["fit_rows"] == 120


@pytest.mark.parametrize("over", [True, False])
def test_incidents_are_not_learned(make_pipeline: MakePipeline, histories: Frames, over: bool) -> None:
    """Rows inside known events of the group are hidden from the fit: all after its start, if it is not over."""
    frame = histories[WEB_1]
    first, last = 80, 90 if over else 120
    values = frame.values.copy()
    values[first:last] *= 100
    spoilt = Frame(frame.start, frame.step, values, frame.series)
    pipeline = make_pipeline(MemoryReader({WEB_1: spoilt, WEB_2: spoilt}), bare=True)
    end = frame.start + last * STEP if over else None
    change = example_change(group=WEB_1, start=frame.start + first * STEP, end=end)
    pipeline.store.commit("hosts", WEB_1, None, None, [change], [])
    assert len(pipeline.fit(frame.end).fitted) == 2
    kept = np.delete(frame.values[:, 0], slice(first, last))
    assert location(pipeline, WEB_1) == pytest.approx(float(kept.mean()), rel=1e-4)
    assert location(pipeline, WEB_2) == pytest.approx(float(values[:, 0].mean()), rel=1e-4)  # the event is not its own


def test_a_group_that_cannot_be_fit_stops_no_other(make_pipeline: MakePipeline, histories: Frames) -> None:
    """Fewer rows than a window is an error of its group, with numbers and remedy; the old model stays."""
    pipeline = make_pipeline(MemoryReader(histories), bare=True)
    pipeline.fit(end_of(histories))
    before = card(pipeline, WEB_1)
    short = MemoryReader({WEB_1: histories[WEB_1].rows(0, 10), WEB_2: histories[WEB_2].rows(0, 100)})
    result = make_pipeline(short, bare=True).fit(end_of(histories))
    assert result.fitted == [WEB_2]
    ((where, error),) = result.errors
    assert where == group_name(WEB_1)
    assert isinstance(error, DataError)
    assert "at least one window of 16 rows, but there are 10; give more history" in str(error)
    assert card(pipeline, WEB_1) == before


@pytest.mark.parametrize(
    "kind", [ValueError, AttributeError, AssertionError, OSError, ImportError, MemoryError, ZeroDivisionError]
)
def test_a_bug_while_fitting_one_group_stops_no_other(
    make_pipeline: MakePipeline, histories: Frames, kind: type[Exception]
) -> None:
    """Of any kind, it is reported with its place and without its text."""

    def explode(group: Group, done: int, total: int) -> None:
        if group == WEB_1:
            raise kind("hunter2")

    result = make_pipeline(MemoryReader(histories), bare=True).fit(end_of(histories), progress=explode)
    ((where, error),) = result.errors
    assert (where, result.fitted) == (group_name(WEB_1), [WEB_2])
    assert f"unexpected {kind.__name__} at" in str(error) and "hunter2" not in str(error)


def test_a_fit_can_be_given_up(make_pipeline: MakePipeline, histories: Frames) -> None:
    """An error that is no ``Exception``, raised by ``progress``, ends the fit; nothing half-done is stored."""

    class StopAskedError(BaseException):
        pass

    def stop(group: Group, done: int, total: int) -> None:
        if group == WEB_2:
            raise StopAskedError

    pipeline = make_pipeline(MemoryReader(histories), bare=True)
    with pytest.raises(StopAskedError):
        pipeline.fit(end_of(histories), progress=stop)
    assert pipeline.models.exists("hosts", WEB_1)
    assert not pipeline.models.exists("hosts", WEB_2)


def test_a_source_without_an_answer_changes_nothing(make_pipeline: MakePipeline, histories: Frames) -> None:
    """``SourceError`` comes through, no model is touched."""
    pipeline = make_pipeline(MemoryReader(histories, failures=[SourceError("down")]), bare=True)
    with pytest.raises(SourceError, match="down"):
        pipeline.fit(end_of(histories))
    assert not pipeline.models.exists("hosts", WEB_1)


def test_spans_narrow_the_history_of_a_group(make_pipeline: MakePipeline, histories: Frames) -> None:
    """A backtest fits each group on its own rows, no matter what the others have."""
    start = histories[WEB_1].start
    spans = {WEB_1: (start + 10 * STEP, start + 60 * STEP)}
    pipeline = make_pipeline(MemoryReader(histories), bare=True)
    pipeline.fit(end_of(histories), start=start, spans=spans)
    assert card(pipeline, WEB_1)["fit_rows"] == 50
    assert card(pipeline, WEB_1)["fit_start"] == (start + 10 * STEP).isoformat()
    assert card(pipeline, WEB_2)["fit_rows"] == 120


def test_a_model_that_cannot_be_stored_is_an_error_of_its_group(
    make_pipeline: MakePipeline, histories: Frames, tmp_path: Path
) -> None:
    """The error names the folder; the other group's model is stored."""
    pipeline = make_pipeline(MemoryReader(histories), bare=True)
    folder = pipeline.models.path("hosts", WEB_1)
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    result = pipeline.fit(end_of(histories))
    ((_, error),) = result.errors
    assert isinstance(error, OutputError)
    assert str(folder) in str(error)
    assert result.fitted == [WEB_2]


def test_rows_are_let_go_of_group_by_group(make_pipeline: MakePipeline, histories: Frames) -> None:
    """While the last group is fit, only its own rows are in memory: a fit of thousands needs those of all only once."""
    read: list[weakref.ref[Frame]] = []

    class Fresh(MemoryReader):
        def read(self, request: ReadRequest) -> Reading:
            frames = {group: frame.rows(0, len(frame)) for group, frame in histories.items()}
            read.extend(weakref.ref(frame) for frame in frames.values())
            return Reading(frames)

    alive: dict[Group, int] = {}

    def count(group: Group, done: int, total: int) -> None:
        alive[group] = sum(frame() is not None for frame in read)

    assert not make_pipeline(Fresh(histories), bare=True).fit(end_of(histories), progress=count).errors
    assert alive[WEB_1] <= 2 and alive[WEB_2] <= 1, alive


class Portioned(MemoryReader):
    """A reader that selects groups only where it is made to."""

    selecting = True

    @property
    def selects_groups(self) -> bool:  # type: ignore[override]
        """True until the first request shows that it cannot."""
        return self.selecting or not self.requests


@pytest.mark.parametrize("selecting", [True, False])
def test_long_histories_are_read_in_portions(make_pipeline: MakePipeline, histories: Frames, selecting: bool) -> None:
    """64 groups at a time where the source can be asked for them, each once; else all of them at once."""
    short = histories[WEB_1].rows(100, 120)  # too short to be fit: reading is what counts here
    reader = Portioned({(("instance", f"web-{at:02}"),): short for at in range(70)})
    reader.selecting = selecting
    make_pipeline(reader, bare=True).fit(end_of(histories))
    recent, *long = reader.requests
    assert recent.groups is None
    assert [one.groups and len(one.groups) for one in long] == ([64, 6] if selecting else [None])
    assert set(reader.reads.values()) == {2}
