"""A job that fires."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tsdiff_monitor.app.build import Assembly
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.daemon.fit_slot import FitTurn
from tsdiff_monitor.daemon.jobs import Jobs
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.events.calendars import CalendarEntry
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group

GROUP = (("instance", "web-1"),)
LONG = DiffusionModelConfig(window=256, width=16, layers=1, fit_steps=10)


class BrokenReader:
    """A stranger's reader with a bug, whose exception holds a secret."""

    def read(self, request: ReadRequest) -> Reading:
        raise KeyError("hunter2")


class HangingReader:
    """Answers only once it is released."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.released = threading.Event()

    def read(self, request: ReadRequest) -> Reading:
        self.reading.set()
        assert self.released.wait(30)
        raise SourceError("released", reason="timeout")


class Bench:
    """Jobs with their metrics, and what they asked to be fit."""

    def __init__(self, assembly: Assembly, clock: FakeClock) -> None:
        self.registry = CollectorRegistry()
        self.asked: list[str] = []
        self.jobs = Jobs(assembly, Metrics(self.registry), fit_soon=self.asked.append, clock=clock, timer=clock)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_a_monitor_from_first_fit_to_delivered_event(make_assembly, clock: FakeClock, frame: Frame) -> None:
    """Without a model a tick asks for a fit, and a baseline scores; then the model opens the incident, for delivery."""
    inbox = MemoryNotifier()
    bench = Bench(make_assembly({"hosts": MemoryReader({GROUP: frame})}, notifier=inbox), clock)
    jobs = bench.jobs
    assert jobs.waiting == ["hosts"]

    with capture_logs() as logs:
        jobs.infer("hosts")
    assert bench.asked == ["hosts"]
    assert [line["first"] for line in logs if line["event"] == "cold start"] == ["instance=web-1"]
    assert bench.value("tsdiff_groups_cold_start", monitor="hosts") == 1
    assert bench.value("tsdiff_groups_without_model", monitor="hosts") == 0
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 1
    assert jobs.waiting == ["hosts"]  # for the model

    jobs.fit_missing("hosts")
    assert jobs.waiting == []
    assert bench.value("tsdiff_fits_total", monitor="hosts", outcome="ok") == 1
    assert bench.value("tsdiff_groups_fitted_total", monitor="hosts") == 1

    for _ in range(6):
        clock.advance(300)
        jobs.infer("hosts")
    assert bench.value("tsdiff_ticks_total", monitor="hosts", outcome="ok") == 7
    # Never scored before, the group begins one interval before its first tick.
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 1 + 30
    assert bench.value("tsdiff_groups_cold_start", monitor="hosts") == 0
    last = pd.Timestamp("2024-05-01T04:29:00Z").timestamp()
    assert bench.value("tsdiff_last_scored_timestamp_seconds", monitor="hosts") == last
    assert bench.value("tsdiff_events_total", monitor="hosts", change="opened") == 1
    assert bench.value("tsdiff_events_open", monitor="hosts") == 1
    assert bench.value("tsdiff_outbox_pending") >= 1

    jobs.deliver()
    assert inbox.changes[0].event.monitor == "hosts"
    assert inbox.changes[0].event.peak_time >= pd.Timestamp("2024-05-01T04:20:00Z")
    assert bench.value("tsdiff_outbox_pending") == 0


def test_missed_ticks_are_caught_up(make_assembly, clock: FakeClock, frame: Frame, fitted: Path) -> None:
    """A tick after a pause scores every row since the last one, in a new process too."""
    reader = MemoryReader({GROUP: frame})
    first = Bench(make_assembly({"hosts": reader}, fitted=fitted), clock)
    first.jobs.infer("hosts")
    assert first.value("tsdiff_rows_scored_total", monitor="hosts") == 1
    clock.advance(15 * 60)
    second = Bench(make_assembly({"hosts": reader}), clock)
    assert second.jobs.waiting == []  # its models are there already
    second.jobs.infer("hosts")
    assert second.value("tsdiff_rows_scored_total", monitor="hosts") == 15


def test_an_unreadable_calendar_is_logged_once(
    make_assembly, clock: FakeClock, frame: Frame, fitted: Path, tmp_path: Path
) -> None:
    """One line when it begins and one when it is over; in between it is counted at every tick, and scoring goes on."""
    path = tmp_path / "team.ics"
    assembly = make_assembly({"hosts": MemoryReader({GROUP: frame})}, fitted=fitted)
    pipeline = assembly.pipelines["hosts"]
    entry = CalendarEntry.model_validate({"ics": str(path)})
    monitor = pipeline.monitor.model_copy(update={"calendar": {"team": entry}})
    bench = Bench(replace(assembly, pipelines={"hosts": replace(pipeline, monitor=monitor)}), clock)
    assert bench.value("tsdiff_calendars_stale", monitor="hosts") == 0
    with capture_logs() as logs:
        for tick in range(4):
            if tick == 3:
                path.write_text("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example//EN\nEND:VCALENDAR\n")
            bench.jobs.infer("hosts")
            clock.advance(60)
            assert bench.value("tsdiff_calendars_stale", monitor="hosts") == (tick < 3)
    found = [line for line in logs if "calendar" in line["event"]]
    assert [line["event"] for line in found] == ["calendar not read", "calendar read again"]
    assert str(path) in found[0]["error"]
    assert bench.value("tsdiff_calendar_failures_total", monitor="hosts") == 3
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 4
    assert bench.value("tsdiff_ticks_total", monitor="hosts", outcome="ok") == 4


def test_a_source_that_is_down_is_no_verdict(make_assembly, clock: FakeClock, frame: Frame, fitted: Path) -> None:
    """A failing source is counted by its reason, no row is scored, and the next tick makes up for it."""
    failures = [SourceError("no answer", reason="timeout")]
    reader = MemoryReader({GROUP: frame}, failures=failures)
    bench = Bench(make_assembly({"hosts": reader}, fitted=fitted), clock)
    with capture_logs() as logs:
        bench.jobs.infer("hosts")
    assert [(line["log_level"], line["reason"]) for line in logs] == [("warning", "timeout")]
    assert bench.value("tsdiff_ticks_total", monitor="hosts", outcome="source_error") == 1
    assert bench.value("tsdiff_source_errors_total", monitor="hosts", reason="timeout") == 1
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 0
    bench.jobs.infer("hosts")
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 1


def test_a_bug_is_counted_and_its_text_stays_out_of_the_log(make_assembly, clock: FakeClock) -> None:
    """An unexpected exception goes no further; the log has its kind and place, but not its text."""
    bench = Bench(make_assembly({"hosts": BrokenReader()}), clock)
    with capture_logs() as logs:
        bench.jobs.infer("hosts")
        bench.jobs.fit("hosts")
    assert bench.value("tsdiff_ticks_total", monitor="hosts", outcome="bug") == 1
    assert bench.value("tsdiff_fits_total", monitor="hosts", outcome="bug") == 1
    assert [line["kind"] for line in logs] == ["KeyError", "KeyError"]
    assert all(Path(__file__).name in line["stack"] for line in logs)
    assert "hunter2" not in "".join(str(line["event"]) + str(line.get("error")) for line in logs)
    assert bench.jobs.waiting == ["hosts"]


def test_a_group_that_cannot_be_fit_is_reported_once_for_all(make_assembly, clock: FakeClock, frame: Frame) -> None:
    """Groups that fail alike give one line and a count; the monitor is ready for the others."""
    short = frame.rows(230, 240)
    readers = {"hosts": MemoryReader({(("instance", f"new-{k}"),): short for k in range(3)})}
    bench = Bench(make_assembly(readers), clock)
    with capture_logs() as logs:
        bench.jobs.fit("hosts")
    failures = [line for line in logs if line["event"] == "groups not fit"]
    assert [(line["reason"], line["count"]) for line in failures] == [("ShortHistoryError", 3)]
    assert bench.value("tsdiff_group_errors_total", monitor="hosts", reason="ShortHistoryError") == 3
    assert bench.value("tsdiff_fits_total", monitor="hosts", outcome="partial") == 1
    assert bench.jobs.waiting == []


def test_a_group_too_young_for_a_model_is_scored_all_the_same(make_assembly, clock: FakeClock, frame: Frame) -> None:
    """With more than half an hour of rows, but fewer than the model needs, a baseline scores it at every tick."""
    young = frame.rows(190, 300)
    bench = Bench(make_assembly({"hosts": MemoryReader({GROUP: young})}, model=LONG), clock)
    for _ in range(3):
        bench.jobs.infer("hosts")
        bench.jobs.fit_missing("hosts")
        clock.advance(60)
    assert bench.value("tsdiff_rows_scored_total", monitor="hosts") == 3
    assert bench.value("tsdiff_groups_cold_start", monitor="hosts") == 1
    assert bench.value("tsdiff_groups_fitted_total", monitor="hosts") == 0


def test_a_fit_learns_no_row_that_a_tick_would_not_score(make_assembly, clock: FakeClock, frame: Frame) -> None:
    """The newest rows, still incomplete, lie behind the scheduler's offset for the daemon's fit too."""
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=1), offset=timedelta(minutes=5))
    reader = MemoryReader({GROUP: frame})
    bench = Bench(make_assembly({"hosts": reader}, rhythm=rhythm), clock)
    now = pd.Timestamp(clock(), unit="s", tz="UTC")
    bench.jobs.fit("hosts")
    assert [request.end for request in reader.requests] == [now - pd.Timedelta("5min")]


def test_a_fit_given_up_is_no_failure(make_assembly, clock: FakeClock, frame: Frame, monkeypatch) -> None:
    """Stopped between two steps, the fit counts as stopped, stores nothing and holds nothing up."""
    bench = Bench(make_assembly({"hosts": MemoryReader({GROUP: frame})}), clock)
    progress, steps = FitTurn.progress, []

    def stopping(turn: FitTurn, group: Group, done: int, total: int) -> None:
        steps.append(done)
        bench.jobs.stop(0.0)
        progress(turn, group, done, total)

    monkeypatch.setattr(FitTurn, "progress", stopping)
    with capture_logs() as logs:
        bench.jobs.fit("hosts")
    assert [line["event"] for line in logs] == ["fit given up: stopping"]
    assert bench.value("tsdiff_fits_total", monitor="hosts", outcome="stopped") == 1
    assert len(steps) == 1
    assert bench.jobs.waiting == ["hosts"]
    assert bench.jobs.stop(0.0) == []


@pytest.mark.parametrize("job", ["infer", "fit"])
def test_stopping_waits_for_running_work_but_not_for_ever(make_assembly, clock: FakeClock, job: str) -> None:
    """Anything that hangs is named after the deadline; what ends in time is waited for; nothing new begins."""
    reader = HangingReader()
    bench = Bench(make_assembly({"hosts": reader}), clock)
    thread = threading.Thread(target=getattr(bench.jobs, job), args=["hosts"])
    thread.start()
    assert reader.reading.wait(30)
    assert bench.jobs.stop(0.0) == [f"{job}:hosts"]
    reader.released.set()
    assert bench.jobs.stop(30.0) == []
    thread.join(30)
    reader.reading.clear()
    bench.jobs.infer("hosts")
    bench.jobs.fit("hosts")
    bench.jobs.deliver()
    assert not reader.reading.is_set()
    assert bench.value("tsdiff_ticks_total", monitor="hosts", outcome="source_error") == (job == "infer")
