"""Details that a message shows beside its event."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change
from tsdiff_monitor.pipeline.annotate import linked
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader, MemoryWriter, example_event
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


def test_a_change_comes_with_its_course(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp
) -> None:
    """Actual values as they were read, the band around what was expected, the scores as they were, up to the change."""
    frame = frames[WEB_1]
    writer = MemoryWriter()
    monitor = {"write": ["kept"], "links": {"dash": "https://g.example/{labels.instance}?from={start_ms}"}}
    pipeline = make_pipeline(MemoryReader({WEB_1: frame}), monitor=monitor, writers={"kept": writer})
    changes = []
    for row in range(frame.row(history_end), frame.row(history_end) + 60):
        changes += pipeline.tick(frame.start + STEP * (row + 1), since=history_end).changes
    opened = next(change for change in changes if change.change is Change.opened)
    snapshot, event = opened.details.snapshot, opened.event
    assert snapshot is not None
    assert snapshot.times[-1] == event.last
    assert [course.metric for course in snapshot.courses] == [culprit.metric for culprit in event.culprits[:3]]
    rows = frame.between(snapshot.start, event.last + STEP)
    for course in snapshot.courses:
        actual = np.array(course.actual, float)
        np.testing.assert_allclose(actual, rows.values[:, frame.names.index(course.metric)], rtol=1e-5)
        assert all(
            low <= middle <= high for low, middle, high in zip(course.lower, course.expected, course.upper, strict=True)
        )
    scored = {
        time: score
        for batch in writer.batches
        for time, score in zip(batch.scores.times, batch.scores.score, strict=True)
    }
    assert snapshot.score[-1] == pytest.approx(scored[event.last], rel=1e-5)
    assert opened.details.allowed_per_week == 20.0
    assert opened.details.links["dash"].startswith("https://g.example/web-1?from=1714")
    assert pipeline.store.changes(event.id)[0].details == opened.details


def test_no_one_to_notify_nothing_to_draw(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """A backtest, which notifies no one, does not pay for pictures."""
    pipeline = make_pipeline(MemoryReader(frames), monitor={"notify": []})
    changes = pipeline.tick(end, since=history_end).changes
    assert changes
    assert all(change.details.snapshot is None for change in changes)


def test_a_picture_that_fails_does_not_lose_the_event(
    make_pipeline: MakePipeline,
    frames: dict[Group, Frame],
    history_end: pd.Timestamp,
    end: pd.Timestamp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change is stored without it, and the failure reported."""

    def fails(*_: object) -> None:
        raise ValueError("no memory for a picture")

    monkeypatch.setattr("tsdiff_monitor.pipeline.advance.snapshot", fails)
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}))
    result = pipeline.tick(end, since=history_end)
    assert result.changes
    assert [where for where, _ in result.errors] == ["details"]
    assert pipeline.store.counts()["pending"] == len(result.changes)


def test_links_are_filled_in_and_quoted() -> None:
    """A label cannot break out of its place in an address; one that is not there is empty."""
    event = example_event(group=(("host", "a&b=c/d e"),))
    templates = {"a": "https://g.example/{monitor}?h={labels.host}&x={labels.gone}&t={start_ms}-{end_ms}#{event}"}
    start, last = (int(time.timestamp() * 1000) for time in (event.start, event.last))
    assert linked(templates, event) == {
        "a": f"https://g.example/hosts?h=a%26b%3Dc%2Fd%20e&x=&t={start - 1_800_000}-{last + 1_800_000}#0123456789abcdef"
    }
