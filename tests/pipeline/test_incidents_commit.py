"""Hosts behind one switch: many events in the store, one message."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_alerts.message.phrases import headline
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import ABSENT, Change, EventChange
from tsdiff_monitor.pipeline.alarm_rate import seen_per_week
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.testing import MemoryReader, example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group

HOSTS: tuple[Group, ...] = tuple((("instance", f"web-{n}"),) for n in range(1, 6))
STEP = pd.Timedelta("10min")
ROWS, DAMAGED, FIXED = 400, 310, 318
CALM = {"events": {"update_every": "9d"}}
MakePipeline = Callable[..., Pipeline]


@pytest.fixture
def hosts() -> dict[Group, Frame]:
    """Five hosts, of which all but the last are far off in the same rows."""
    made = {host: example_frame(ROWS, step="10min", group=host, seed=1) for host in HOSTS}
    factor = np.where((np.arange(ROWS) >= DAMAGED) & (np.arange(ROWS) < FIXED), np.float32(4), np.float32(1))
    return made | {
        host: dataclasses.replace(made[host], values=made[host].values * factor[:, None]) for host in HOSTS[:-1]
    }


@pytest.fixture
def make(make_pipeline: MakePipeline) -> MakePipeline:
    """Pipelines in which every host has the first one's model."""

    def build(frames: dict[Group, Frame], **others: Any) -> Pipeline:
        pipeline = make_pipeline(MemoryReader(frames), **{"monitor": CALM, **others})
        detector = pipeline.models.get("hosts", HOSTS[0])
        for host in HOSTS[2:]:
            pipeline.models.put("hosts", host, detector, "the same")
        return pipeline

    return build


def replay(pipeline: Pipeline, frame: Frame, rows: int, *, absent: bool = False) -> list[TickResult]:
    """Tick by tick of ``rows`` rows, from just before the damage to well after it."""
    start = frame.start + STEP * (DAMAGED - 10)
    return [pipeline.tick(start + STEP * end, since=start, absent=absent) for end in range(rows, 61, rows)]


def sent(pipeline: Pipeline) -> list[EventChange]:
    """The changes that the notifiers get, in the order of delivery."""
    heard = []
    while due := pipeline.store.due(1e12, 99):
        for one in due:
            pipeline.store.mark_delivered(one.id, 0.0)
        heard += [one.change for one in due]
    return heard


@pytest.mark.parametrize("rows", [2, 60])
def test_hosts_that_fail_together_are_sent_as_one(make: MakePipeline, hosts: dict[Group, Frame], rows: int) -> None:
    """One opening, one end and what lies between; the events of the four hosts are all in the store."""
    pipeline = make(hosts)
    results = replay(pipeline, hosts[HOSTS[0]], rows)
    assert not any(result.errors for result in results)
    heard = sent(pipeline)
    assert len({change.event.id for change in heard}) == 1
    assert (heard[0].change, heard[-1].change) == (Change.opened, Change.resolved)
    assert {member.group for member in heard[0].event.members} == set(HOSTS[:4])
    events = pipeline.store.events("hosts")
    assert sorted(event.group for event in events if not event.members) == list(HOSTS[:4])
    assert headline(heard[0]) == "4 groups of hosts are behaving abnormally (instance=web-1, web-2, web-3 and 1 more)"
    assert headline(heard[-1]) == "4 groups of hosts are back to normal (instance=web-1, web-2, web-3 and 1 more)"


def test_its_message_has_a_picture_and_links(make: MakePipeline, hosts: dict[Group, Frame]) -> None:
    """The picture is one member's, named as such; links are filled in for the incident."""
    links = {"board": "https://grafana.example/d?from={start_ms}&id={event}&zone={labels.instance}"}
    pipeline = make(hosts, monitor=CALM | {"links": links})
    replay(pipeline, hosts[HOSTS[0]], 5)
    opened = sent(pipeline)[0]
    snapshot = opened.details.snapshot
    assert snapshot is not None
    assert {culprit.metric for culprit in opened.event.culprits} & {course.metric for course in snapshot.courses}
    assert opened.details.links["board"].endswith(f"id={opened.event.id}&zone=")
    assert opened.details.allowed_per_week == 20.0


def test_recipients_of_a_member_get_the_incident(make: MakePipeline, hosts: dict[Group, Frame]) -> None:
    """By routes as by the calendar: those who would be notified of one of the members, once."""
    route = Route.model_validate({"notifiers": ["pager", "inbox"], "labels": {"instance": "web-3"}})
    other = Route.model_validate({"notifiers": ["no_one"], "labels": {"instance": "web-5"}})
    quiet = {"cron": "* * * * *", "lasts": "1d", "labels": {"instance": "web-3"}}
    loud = make(hosts, monitor=CALM | {"notify": []}, routes=(route, other))
    replay(loud, hosts[HOSTS[0]], 60)
    opened = loud.store.due(1e12, 9)  # the others wait for these
    assert [(one.notifier, len(one.change.event.members)) for one in opened] == [("pager", 4), ("inbox", 4)]
    silent = make(hosts, monitor=CALM | {"notify": [], "calendar": {"night": quiet}}, routes=(route, other))
    replay(silent, hosts[HOSTS[0]], 60)
    assert silent.store.due(1e12, 9) == []


def test_a_store_that_fails_for_a_moment_changes_no_message(
    make: MakePipeline, hosts: dict[Group, Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the tick is committed; the next tick finds all of it again and sends it as one."""
    pipeline, failures = make(hosts), [StoreError("locked")]
    commit_tick = pipeline.store.commit_tick

    def failing(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        commit_tick(*arguments)

    monkeypatch.setattr(pipeline.store, "commit_tick", failing)
    results = replay(pipeline, hosts[HOSTS[0]], 5)
    assert [where for result in results for where, _ in result.errors] == [f"instance=web-{n}" for n in range(1, 6)]
    heard = sent(pipeline)
    assert len({change.event.id for change in heard}) == 1
    assert len(heard[0].event.members) == 4 and heard[-1].change is Change.resolved
    assert sum(not event.members for event in pipeline.store.events("hosts")) == 4


def test_a_bug_in_grouping_silences_nothing(
    make: MakePipeline, hosts: dict[Group, Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each group's event is then sent by itself, and the bug is reported without its text."""
    pipeline = make(hosts)

    def broken(*_: object) -> None:
        raise ValueError("hunter2")

    monkeypatch.setattr("tsdiff_monitor.pipeline.commit.group_events", broken)
    results = replay(pipeline, hosts[HOSTS[0]], 60)
    assert [where for where, _ in results[0].errors] == ["incidents"]
    assert "hunter2" not in str(results[0].errors[0][1])
    assert {change.event.group for change in sent(pipeline)} == set(HOSTS[:4])


def test_a_switch_that_fails_is_one_absence(make: MakePipeline, hosts: dict[Group, Frame]) -> None:
    """Hosts that stop reporting together have stopped together, and report again together."""
    gone = {}
    for host, frame in hosts.items():
        values = np.where(np.arange(ROWS)[:, None] < DAMAGED, frame.values, np.float32("nan"))
        values[FIXED:] = frame.values[FIXED:]
        gone[host] = frame if host == HOSTS[-1] else dataclasses.replace(frame, values=values)
    pipeline = make(gone, monitor=CALM | {"absent_after": "30m"})
    replay(pipeline, hosts[HOSTS[0]], 2, absent=True)
    heard = [change for change in sent(pipeline) if change.event.kind == ABSENT]
    assert [change.change for change in heard] == [Change.opened, Change.resolved]
    assert headline(heard[0]).startswith("4 groups of hosts have stopped reporting (instance=web-1, ")
    assert headline(heard[1]).startswith("4 groups of hosts are reporting again (")


@pytest.mark.parametrize(("verdict", "learned"), [("false", True), ("real", False)])
def test_feedback_on_an_incident_counts_for_its_members(
    make: MakePipeline, hosts: dict[Group, Frame], verdict: Any, learned: bool
) -> None:
    """For what is learned, and for the rate of alarms, in which each member counts once."""
    pipeline = make(hosts)
    replay(pipeline, hosts[HOSTS[0]], 5)
    (incident,) = [event for event in pipeline.store.events("hosts") if event.members]
    now = pipeline.store.last_scored("hosts")[HOSTS[0]] + pd.Timedelta(days=7)
    assert seen_per_week(pipeline.store, "hosts", now) == pytest.approx(4.0, rel=0.1)
    pipeline.store.give_feedback(incident.id, verdict, "", 0.0)
    seen = pipeline.history(HOSTS[1], hosts[HOSTS[1]])
    assert bool(np.isfinite(seen.values[DAMAGED]).all()) == learned
    assert seen_per_week(pipeline.store, "hosts", now) == pytest.approx(4.0 if learned else 0.0, rel=0.1)


def test_one_rise_of_many_groups_is_many_messages_where_that_is_wanted(
    make: MakePipeline, hosts: dict[Group, Frame]
) -> None:
    """``incident_groups: null``: each host's event is sent by itself."""
    pipeline = make(hosts, monitor={"events": {"update_every": "9d", "incident_groups": None}})
    replay(pipeline, hosts[HOSTS[0]], 60)
    heard: Sequence[EventChange] = sent(pipeline)
    assert {change.event.group for change in heard} == set(HOSTS[:4])
    assert all(not change.event.members for change in heard)
