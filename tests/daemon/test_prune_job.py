"""Old events are deleted, and troubles of the store are logged once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tsdiff_monitor.app.build import Assembly
from tsdiff_monitor.daemon.jobs import Jobs
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, MemoryReader, example_event

DAY = 86400
NOW = pd.Timestamp("2026-03-01T00:00:00Z")


def jobs_of(assembly: Assembly, clock: FakeClock) -> Jobs:
    return Jobs(assembly, Metrics(CollectorRegistry()), fit_soon=lambda _: None, clock=clock, timer=clock)


def add(assembly: Assembly, **ages: int) -> None:
    """Resolved events by name, and how many days before the newest row scored they ended."""
    for name, days in ages.items():
        end = NOW - pd.Timedelta(days=days)
        event = example_event(id=name, start=end, last=end, end=end)
        assembly.store.commit("hosts", event.group, None, {}, [EventChange(Change.resolved, event, 1)], ())
    assembly.store.commit("hosts", (), NOW, {}, [], ())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW.timestamp())


def test_old_events_are_forgotten(make_assembly, clock: FakeClock) -> None:
    """Those that are over for longer than ``keep_events``, 400 days unless it says otherwise; a line says how many."""
    assembly = make_assembly({"hosts": MemoryReader({})})
    add(assembly, old=401, older=500, young=399)
    jobs = jobs_of(assembly, clock)
    with capture_logs() as logs:
        jobs.prune()
        jobs.prune()
    assert [event.id for event in assembly.store.events()] == ["young"]
    assert [(line["event"], line["events"]) for line in logs] == [("old events deleted", 2)]


def test_groups_that_are_gone_are_forgotten(make_assembly, clock: FakeClock) -> None:
    """Those not seen for ``keep_groups``, 30 days unless it says otherwise; a line says how many."""
    assembly = make_assembly({"hosts": MemoryReader({})})
    for name, days in (("old", 31), ("young", 29), ("new", 0)):
        assembly.store.commit("hosts", (("instance", name),), NOW - pd.Timedelta(days=days), {}, [], ())
    jobs = jobs_of(assembly, clock)
    with capture_logs() as logs:
        jobs.prune()
        jobs.prune()
    assert [group[0][1] for group in assembly.store.groups("hosts")] == ["new", "young"]
    assert [(line["event"], line["groups"]) for line in logs] == [("old groups deleted", 1)]


def test_a_clock_that_is_put_forward_makes_nothing_old(make_assembly, clock: FakeClock) -> None:
    """Age is counted from the rows scored; before any row is, nothing is forgotten."""
    assembly = make_assembly({"hosts": MemoryReader({})})
    jobs = jobs_of(assembly, clock)
    jobs.prune()
    add(assembly, young=30)
    clock.advance(3000 * DAY)
    jobs.prune()
    assert [event.id for event in assembly.store.events()] == ["young"]


def test_a_store_in_trouble_is_logged_once(
    make_assembly, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Deliveries are tried every second: one line when they stop, one when they go on, no matter what lies between."""

    def full(*_: object, **__: object) -> list[object]:
        raise StoreError("the disk is full")

    inbox = MemoryNotifier()
    assembly = make_assembly({"hosts": MemoryReader({})}, notifier=inbox)
    event = example_event()
    assembly.store.commit("hosts", (), event.last, {}, [EventChange(Change.opened, event, 1)], ["inbox"])
    jobs = jobs_of(assembly, clock)
    with capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(assembly.store, "due", full)
            patch.setattr(assembly.store, "prune", full)
            for _ in range(5):
                jobs.deliver()
            jobs.prune()
        for _ in range(5):
            jobs.deliver()
    said = [line["event"] for line in logs]
    assert said == ["delivery stopped", "old events not deleted", "delivery goes on"]
    assert len(inbox.changes) == 1
