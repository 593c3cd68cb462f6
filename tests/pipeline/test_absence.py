"""Groups that stop reporting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.errors import SourceError, StoreError
from tsdiff_monitor.events.event import ABSENT, Change, Event, EventChange
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
WEB_2: Group = (("instance", "web-2"),)
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


def silenced(frame: Frame, first: int, last: int) -> Frame:
    """The frame without any value in the rows ``first <= i < last``."""
    values = frame.values.copy()
    values[first:last] = float("nan")
    return dataclasses.replace(frame, values=values)


def watched(pipeline: Pipeline, start: pd.Timestamp, rows: int) -> list[EventChange]:
    """The changes of absences, tick by tick."""
    changes: list[EventChange] = []
    for row in range(rows):
        changes += pipeline.tick(start + STEP * (row + 1), since=start, absent=True).changes
    return [change for change in changes if change.event.kind == ABSENT]


@pytest.fixture
def gone(frames: dict[Group, Frame], history_end: pd.Timestamp) -> dict[Group, Frame]:
    """web-2 is silent from row 10 after the history to row 30."""
    first = frames[WEB_2].row(history_end) + 10
    return {**frames, WEB_2: silenced(frames[WEB_2], first, first + 20)}


def test_an_absence_is_an_event(
    make_pipeline: MakePipeline, gone: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """From the first empty row to the next value, opened after ``absent_after``; the other group has none."""
    pipeline = make_pipeline(MemoryReader(gone), monitor={"absent_after": "40m"})
    opened, resolved = watched(pipeline, history_end, 45)
    silent = history_end + 10 * STEP
    assert (opened.change, opened.event.group, opened.event.start) == (Change.opened, WEB_2, silent)
    assert opened.event.confirmed == silent + pd.Timedelta("40min")
    assert (resolved.change, resolved.event.id) == (Change.resolved, opened.event.id)
    assert resolved.event.end == silent + 20 * STEP
    assert pipeline.store.event(opened.event.id) == resolved.event
    assert [one.change.key for one in pipeline.store.due(1e12, 9) if one.change.event.kind == ABSENT] == [opened.key]


def test_three_rows_may_only_be_late(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """However short ``absent_after`` is, two empty rows are none, and without it there are no such events."""
    first = frames[WEB_2].row(history_end) + 10
    short = {**frames, WEB_2: silenced(frames[WEB_2], first, first + 2)}
    assert watched(make_pipeline(MemoryReader(short), monitor={"absent_after": "1s"}), history_end, 20) == []
    long = {**frames, WEB_2: silenced(frames[WEB_2], first, first + 20)}
    assert watched(make_pipeline(MemoryReader(long), monitor={"absent_after": None}), history_end, 45) == []


def test_a_group_gone_for_good(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """After ``forget_after`` its event ends, once, and none opens again."""
    first = frames[WEB_2].row(history_end) + 10
    dead = {**frames, WEB_2: silenced(frames[WEB_2], first, len(frames[WEB_2]))}
    pipeline = make_pipeline(MemoryReader(dead), monitor={"absent_after": "30m", "forget_after": "3h"})
    changes = watched(pipeline, history_end, 60)
    assert [change.change for change in changes] == [Change.opened, Change.resolved]
    assert changes[1].event.last == history_end + 10 * STEP + pd.Timedelta("3h")


def test_a_source_that_fails_says_nothing(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """While it does not answer nothing is absent, and when it does again there was no absence."""
    down: list[Any] = [None, *[SourceError("no answer")] * 10]
    pipeline = make_pipeline(MemoryReader(frames, failures=down))
    pipeline.tick(history_end + STEP, since=history_end, absent=True)
    for row in range(1, 11):
        with pytest.raises(SourceError):
            pipeline.tick(history_end + STEP * (row + 1), absent=True)
    after = pipeline.tick(history_end + 12 * STEP, absent=True)
    assert all(change.event.kind != ABSENT for change in after.changes)


def test_all_groups_at_once(make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp) -> None:
    """A source that answers with nothing at all: every group is absent."""
    first = frames[WEB_1].row(history_end) + 10
    empty = {group: silenced(frame, first, len(frame)) for group, frame in frames.items()}
    changes = watched(make_pipeline(MemoryReader(empty)), history_end, 20)
    assert {change.event.group for change in changes} == {WEB_1, WEB_2}


def test_excluded_times_are_no_absence(
    make_pipeline: MakePipeline, gone: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """A group that is switched off on purpose is not missed."""
    span = {"start": history_end.isoformat(), "end": (history_end + 40 * STEP).isoformat(), "effect": "exclude"}
    assert watched(make_pipeline(MemoryReader(gone), monitor={"calendar": {"off": span}}), history_end, 45) == []


def test_an_absence_survives_a_restart(
    make_pipeline: MakePipeline, gone: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """The next process ends what the last one opened, and opens nothing twice."""
    first = make_pipeline(MemoryReader(gone))
    (opened,) = watched(first, history_end, 20)
    second = make_pipeline(MemoryReader(gone), store=first.store)
    (resolved,) = watched(second, history_end, 45)
    assert (opened.event.id, resolved.change) == (resolved.event.id, Change.resolved)


def unusable(pipeline: Pipeline, group: Group) -> None:
    """The group's model is of another version from now on, for anyone who reads it."""
    card = pipeline.models.path("hosts", group) / "card.json"
    text = card.read_text()
    assert '"schema_version": 3' in text
    card.write_text(text.replace('"schema_version": 3', '"schema_version": 99'))


def test_a_group_that_cannot_be_scored_is_not_absent(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """While it is read, it reports, also if its model is faulty; the error is another matter."""
    working = make_pipeline(MemoryReader(frames))
    watched(working, history_end, 5)
    unusable(working, WEB_2)
    broken = make_pipeline(MemoryReader(frames), store=working.store, monitor={"absent_after": "30m"})
    assert watched(broken, history_end, 25) == []
    result = broken.tick(history_end + 26 * STEP, absent=True)
    assert [where for where, _ in result.errors] == ["instance=web-2"]
    assert broken.store.group_state("hosts", WEB_2).last_seen == history_end + 25 * STEP
    assert broken.store.last_scored("hosts")[WEB_2] == history_end + 4 * STEP


def test_an_absence_of_a_group_that_cannot_be_scored(
    make_pipeline: MakePipeline, gone: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """It opens when nothing more is read, and ends when values are read again, though none of them is scored."""
    working = make_pipeline(MemoryReader(gone))
    watched(working, history_end, 5)
    unusable(working, WEB_2)
    broken = make_pipeline(MemoryReader(gone), store=working.store, monitor={"absent_after": "30m"})
    opened, resolved = watched(broken, history_end, 45)
    silent = history_end + 10 * STEP
    assert (opened.event.group, opened.event.start) == (WEB_2, silent)
    assert (resolved.change, resolved.event.end) == (Change.resolved, silent + 20 * STEP)
    assert broken.store.last_scored("hosts")[WEB_2] == history_end + 4 * STEP


def test_metrics_of_other_names_are_a_report(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """A group none of whose metrics its model knows is in error, and not absent."""
    pipeline = make_pipeline(MemoryReader(frames), monitor={"absent_after": "30m"})
    watched(pipeline, history_end, 5)
    other = tuple(dataclasses.replace(one, name=f"new_{one.name}") for one in frames[WEB_2].series)
    renamed = {**frames, WEB_2: dataclasses.replace(frames[WEB_2], series=other)}
    assert watched(dataclasses.replace(pipeline, reader=MemoryReader(renamed)), history_end, 20) == []


class FailingStore(Store):
    """Cannot say which events are open: ``failure`` is raised."""

    failure: Exception | None = None

    def events(self, *args: Any, **options: Any) -> list[Event]:
        if self.failure is not None:
            raise self.failure
        return super().events(*args, **options)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (StoreError("the disk is full"), "the disk is full"),
        (ZeroDivisionError("secret"), "unexpected ZeroDivisionError"),
    ],
)
def test_absences_that_fail_do_not_hide_what_was_scored(
    make_pipeline: MakePipeline,
    gone: dict[Group, Frame],
    history_end: pd.Timestamp,
    tmp_path: Path,
    failure: Exception,
    text: str,
) -> None:
    """Their error is one of the tick's, whose result names all groups committed; the next tick finds what is absent."""
    with FailingStore(tmp_path / "failing.sqlite") as store:
        pipeline = make_pipeline(MemoryReader(gone), store=store)
        watched(pipeline, history_end, 10)
        store.failure = failure
        now = history_end + 21 * STEP
        result = pipeline.tick(now, absent=True)
        assert (result.groups, result.scored_until) == (1, now)
        ((where, error),) = result.errors
        assert where == "absences" and text in str(error) and "secret" not in str(error)
        store.failure = None
        again = pipeline.tick(now + STEP, absent=True)
        assert again.errors == []
        assert [(one.change, one.event.group) for one in again.changes] == [(Change.opened, WEB_2)]
