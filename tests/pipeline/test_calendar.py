"""Calendars on a monitor's way: who is notified, what is judged, and what is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
STEP = pd.Timedelta("10min")
CALM = {"alarms_per_week": 2.0}
MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def incident(frames: dict[Group, Frame], history_end: pd.Timestamp) -> pd.Timestamp:
    """Start of the incident of web-1; it lasts 8 rows."""
    return history_end + 50 * STEP


def span(start: pd.Timestamp, end: pd.Timestamp, **keys: Any) -> dict[str, Any]:
    return {"works": {"start": start.isoformat(), "end": end.isoformat(), **keys}}


def replay(pipeline: Pipeline, start: pd.Timestamp, end: pd.Timestamp) -> list[tuple[Change, tuple[str, ...]]]:
    """Row by row: the changes of web-1's incident, and who was notified of each."""
    steps = []
    for now in pd.date_range(start + STEP, end, freq=STEP):
        for change in pipeline.tick(now, since=start).changes:
            due = pipeline.store.due(1e12, 100)
            names = tuple(one.notifier for one in due if one.change.key == change.key)
            for one in due:
                pipeline.store.mark_delivered(one.id, 0.0)
            steps.append((change.change, names))
    return steps


def test_no_one_is_notified_in_a_quiet_time(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, incident: pd.Timestamp
) -> None:
    """The event is kept; an end of which no one knew the beginning is not sent either."""
    calendar = span(incident - STEP, incident + 40 * STEP)
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), monitor=CALM | {"calendar": calendar})
    steps = replay(pipeline, history_end, incident + 45 * STEP)
    assert steps[0][0] is Change.opened
    assert steps[-1][0] is Change.resolved
    assert {names for _, names in steps} == {()}
    assert len(pipeline.store.events()) == 1


def test_an_event_that_outlasts_the_quiet_time_is_sent(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, incident: pd.Timestamp
) -> None:
    """Its next update is, and so is its end; other groups than the calendar's are not kept quiet."""
    calendar = span(incident - STEP, incident + 4 * STEP)
    monitor = CALM | {"calendar": calendar, "events": {"update_every": "10m"}}
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), monitor=monitor)
    steps = replay(pipeline, history_end, incident + 30 * STEP)
    assert steps[0] == (Change.opened, ())
    sent = [change for change, names in steps if names == ("inbox",)]
    assert sent[0] is Change.updated and sent[-1] is Change.resolved

    elsewhere = CALM | {"calendar": span(incident - STEP, incident + 4 * STEP, labels={"instance": "db-*"})}
    loud = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), monitor=elsewhere)
    assert replay(loud, history_end, incident + 30 * STEP)[0] == (Change.opened, ("inbox",))


def test_excluded_rows_are_not_judged(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, incident: pd.Timestamp
) -> None:
    """They have no score and open no event; the rows around them are scored as ever."""
    writer = MemoryWriter()
    monitor = CALM | {"calendar": span(incident, incident + 10 * STEP, effect="exclude"), "write": ["kept"]}
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), monitor=monitor, writers={"kept": writer})
    pipeline.tick(incident + 30 * STEP, since=history_end)
    (batch,) = writer.batches
    inside = (batch.scores.times >= incident) & (batch.scores.times < incident + 10 * STEP)
    assert np.isnan(batch.scores.score[inside]).all()
    assert np.isfinite(batch.scores.score[~inside]).all()
    assert not batch.scores.attribution[inside].any()
    assert all(event.start >= incident + 10 * STEP for event in pipeline.store.events())


@pytest.mark.parametrize("effect", ["quiet", "exclude"])
def test_nothing_is_learned_from_the_calendar_s_rows(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], effect: str
) -> None:
    """Maintenance is no example of how things usually are."""
    frame = frames[WEB_1]
    calendar = span(frame.start + 10 * STEP, frame.start + 20 * STEP, effect=effect)
    pipeline = make_pipeline(MemoryReader({WEB_1: frame}), monitor={"calendar": calendar})
    seen = pipeline.history(WEB_1, frame)
    assert np.isnan(seen.values[10:20]).all()
    assert np.isfinite(seen.values[:10]).all() and np.isfinite(seen.values[20:]).all()


def test_routes_add_to_the_monitor_s_notifiers(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, incident: pd.Timestamp
) -> None:
    """A route that matches notifies its notifiers too, and those notified of an opening are notified of the end."""
    routes = tuple(
        Route.model_validate(route)
        for route in (
            {"notifiers": ["pager", "inbox"], "labels": {"instance": "web-*"}, "updates": False},
            {"notifiers": ["no_one"], "monitors": ["databases"]},
        )
    )
    pipeline = make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), routes=routes, monitor=CALM)
    steps = replay(pipeline, history_end, incident + 30 * STEP)
    assert steps[0] == (Change.opened, ("inbox", "pager"))
    assert steps[-1] == (Change.resolved, ("inbox", "pager"))
    assert all(names == ("inbox",) for change, names in steps if change is Change.updated)


@pytest.mark.parametrize(("verdict", "learned"), [(None, False), ("real", False), ("false", True), ("expected", True)])
def test_feedback_decides_what_is_learned(
    make_pipeline: MakePipeline,
    frames: dict[Group, Frame],
    history_end: pd.Timestamp,
    incident: pd.Timestamp,
    verdict: Any,
    learned: bool,
) -> None:
    """Rows of incidents, and of events of which nothing is known, are not learned; those of false alarms are."""
    frame = frames[WEB_1]
    pipeline = make_pipeline(MemoryReader({WEB_1: frame}), monitor=CALM)
    pipeline.tick(incident + 30 * STEP, since=history_end)
    (event,) = pipeline.store.events()
    if verdict is not None:
        pipeline.store.give_feedback(event.id, verdict, "", 0.0)
    seen = pipeline.history(WEB_1, frame)
    assert np.isfinite(seen.values[seen.row(event.start)]).all() == learned
