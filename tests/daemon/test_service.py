"""The service: from start to stop, with real threads and a clock that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tsdiff_monitor.app import build
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.service import Service
from tsdiff_monitor.errors import DeliveryError, SourceError, StoreError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, MemoryReader, example_change
from tsdiff_monitor.timeseries.frame import Frame

GROUP = (("instance", "web-1"),)
OFTEN = SchedulerConfig(infer_every=timedelta(milliseconds=50), offset=timedelta(0))


class HangingReader:
    """Answers only once it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def read(self, request: ReadRequest) -> Reading:
        assert self.released.wait(60)
        raise SourceError("released", reason="timeout")


class Inbox(MemoryNotifier):
    """Says when the first change arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = threading.Event()

    def notify(self, change: EventChange) -> None:
        super().notify(change)
        self.sent.set()


class HangingInbox(MemoryNotifier):
    """Returns only once it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.released = threading.Event(), threading.Event()

    def notify(self, change: EventChange) -> None:
        self.begun.set()
        assert self.released.wait(60)


class Pager(Inbox):
    """Must get its alerts again and again."""

    refresh_every = timedelta(seconds=1)
    keep_resolved = timedelta(minutes=15)

    def __init__(self) -> None:
        super().__init__()
        self.resent = threading.Event()

    def refresh(self, changes: Sequence[EventChange]) -> None:
        self.resent.set()


@pytest.fixture
def hanging() -> Iterator[HangingInbox]:
    made = HangingInbox()
    yield made
    made.released.set()


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """True if the condition comes true in time."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return True
        pause.wait(0.01)
    return False


def test_a_stuck_monitor_does_not_stop_another(make_assembly, clock: FakeClock, frame: Frame, fitted: Path) -> None:
    """While one monitor's source hangs, the other's rows are scored and its event is delivered; stopping names it."""
    stuck, inbox = HangingReader(), Inbox()
    readers = {"hosts": MemoryReader({GROUP: frame}), "stuck": stuck}
    assembly = make_assembly(readers, notifier=inbox, rhythm=OFTEN, fitted=fitted)
    registry = CollectorRegistry()
    service = Service(assembly, Metrics(registry), clock=clock)
    assert service.not_ready == "starting"
    service.start()

    def scored() -> float:
        return registry.get_sample_value("tsdiff_rows_scored_total", {"monitor": "hosts"}) or 0

    assert eventually(lambda: scored() == 1)
    clock.advance(30 * 60)
    assert inbox.sent.wait(60)
    assert eventually(lambda: scored() == 31)
    assert service.not_ready == "waiting for the first fit of stuck"
    assert not service.stop(job_seconds=0.1)
    assert service.not_ready == "stopping"
    stuck.released.set()
    assert eventually(lambda: service.jobs.stop(0.0) == [])


def test_it_becomes_ready_by_itself(make_assembly, clock: FakeClock, frame: Frame) -> None:
    """Started without any model, the service fits, is ready, and stops without leaving anything behind."""
    service = Service(
        make_assembly({"hosts": MemoryReader({GROUP: frame})}, rhythm=OFTEN), Metrics(CollectorRegistry()), clock=clock
    )
    service.start()
    assert eventually(lambda: service.not_ready == "")
    assert service.stop()


def test_it_is_ready_at_once_after_a_restart(make_assembly, clock: FakeClock, frame: Frame, fitted: Path) -> None:
    """With models and state from before, no one has to wait for a fit."""
    readers = {"hosts": MemoryReader({GROUP: frame})}
    first = Service(make_assembly(readers, rhythm=OFTEN, fitted=fitted), Metrics(CollectorRegistry()), clock=clock)
    first.jobs.infer("hosts")
    second = Service(make_assembly(readers, rhythm=OFTEN), Metrics(CollectorRegistry()), clock=clock)
    assert second.jobs.waiting == []


@pytest.mark.parametrize("busy", [False, True])
def test_stopping_delivers_what_is_due(make_assembly, clock: FakeClock, frame: Frame, busy: bool) -> None:
    """Deliveries due at the stop are attempted once more; one that fails then stays in the store."""
    failures = [DeliveryError("busy", recoverable=True, reason="timeout")] if busy else []
    inbox = MemoryNotifier(failures=failures)
    assembly = make_assembly({"hosts": MemoryReader({GROUP: frame})}, notifier=inbox)
    service = Service(assembly, Metrics(CollectorRegistry()), clock=clock)
    assembly.store.commit("hosts", GROUP, None, None, [example_change(sequence=1)], ["inbox"])
    assert service.stop()
    assert len(inbox.attempts) == 1
    assert assembly.store.counts()["pending"] == busy


class Unclosable(HangingInbox):
    """Hangs in a delivery, and when it is closed."""

    def close(self) -> None:
        assert self.released.wait(60)


def test_leaving_does_not_wait_for_a_notifier_that_hangs(make_assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ``close`` has some seconds and is left behind then, with a line; the store is closed all the same."""
    stuck = Unclosable()
    assembly = make_assembly({}, notifiers={"stuck": stuck})
    monkeypatch.setattr(build, "CLOSE_SECONDS", 0.01)
    with capture_logs() as logs, assembly:
        pass
    stuck.released.set()
    assert [(line["notifier"], line["log_level"]) for line in logs] == [("stuck", "warning")]
    with pytest.raises(StoreError, match="closed"):
        assembly.store.counts()


def test_a_notifier_that_hangs_holds_up_nothing(make_assembly, clock: FakeClock, hanging: HangingInbox) -> None:
    """Others get their deliveries and resends meanwhile; stopping waits for it no longer than allowed, and names it."""
    pager = Pager()
    assembly = make_assembly({}, notifiers={"hanging": hanging, "pager": pager}, threads=True)
    service = Service(assembly, Metrics(CollectorRegistry()), clock=clock)
    assembly.store.commit("hosts", GROUP, None, None, [example_change(sequence=1)], ["hanging", "pager"])
    before = threading.enumerate()
    service.start()
    assert hanging.begun.wait(60) and pager.sent.wait(60)
    clock.advance(60)
    assert pager.resent.wait(60)
    assembly.store.commit("hosts", GROUP, None, None, [example_change(sequence=2)], ["hanging", "pager"])
    assert eventually(lambda: len(pager.changes) == 2)
    with capture_logs() as logs:
        assert service.stop(drain_seconds=0.1)
    (line,) = (line for line in logs if line["log_level"] == "warning")
    assert line["notifiers"] == ["hanging"]
    ours = [thread.name for thread in threading.enumerate() if thread not in before and thread.daemon]
    assert sorted(name for name in ours if name.startswith("notify-")) == ["notify-hanging", "notify-pager"]
