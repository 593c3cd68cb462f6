"""Which jobs a configuration gives, and that none of them stands in another's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from prometheus_client import CollectorRegistry

from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.scheduler import Scheduler
from tsdiff_monitor.daemon.triggers import GridTrigger
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig

NOW = datetime(2024, 5, 1, 10, 2, 11, tzinfo=UTC)
MINUTELY = SchedulerConfig(infer_every=timedelta(minutes=1))


class Recorder:
    """Remembers what was called; a monitor whose name is in ``hang`` blocks until released."""

    def __init__(self, hang: tuple[str, ...] = ()) -> None:
        self._hang = hang
        self._changed = threading.Condition()
        self.calls: list[str] = []
        self.released = threading.Event()

    def _called(self, call: str) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def wait_for(self, *calls: str) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: set(calls) <= set(self.calls), 30)

    def infer(self, monitor: str) -> None:
        self._called(f"infer:{monitor}")
        if monitor in self._hang:
            assert self.released.wait(30)

    def fit(self, monitor: str) -> None:
        self._called(f"fit:{monitor}")

    def fit_missing(self, monitor: str) -> None:
        self._called(f"fit-missing:{monitor}")
        if f"fit-missing:{monitor}" in self._hang:
            assert self.released.wait(30)

    def deliver(self) -> None:
        self._called("deliver")
        if "deliver" in self._hang:
            raise RuntimeError("hunter2")

    def resend(self) -> None:
        self._called("resend")

    def prune(self) -> None:
        self._called("prune")


Make = Callable[..., Scheduler]


def config(rhythm: SchedulerConfig, names: tuple[str, ...] = ("hosts",), zone: str = "UTC") -> Config:
    raw = {"reader": "r", "scheduler": "s", "step": "1m", "queries": {"all": "*"}}
    return Config(
        file="monitor.yml",
        settings=Settings(timezone=zone),
        readers={},
        writers={},
        notifiers={},
        models={"default": DiffusionModelConfig()},
        schedulers={"s": rhythm},
        monitors={name: MonitorConfig.model_validate(raw) for name in names},
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def make(registry: CollectorRegistry) -> Iterator[Make]:
    made: list[tuple[Scheduler, Recorder]] = []

    def build(
        work: Recorder, rhythm: SchedulerConfig = MINUTELY, *, real: bool = False, **options: object
    ) -> Scheduler:
        now = {} if real else {"now": lambda: NOW}
        scheduler = Scheduler(config(rhythm, **options), work, Metrics(registry), **now)  # type: ignore[arg-type]
        made.append((scheduler, work))
        return scheduler

    yield build
    for scheduler, work in made:
        work.released.set()
        scheduler.stop()


def test_every_monitor_has_its_jobs(make: Make) -> None:
    """Two jobs for each monitor, one for deliveries and one for old events, each on the threads of its kind."""
    jobs = make(Recorder(), names=("hosts", "shops")).jobs()
    assert {name: job.executor for name, job in jobs.items()} == {
        "infer:hosts": "infer",
        "infer:shops": "infer",
        "fit:hosts": "fit",
        "fit:shops": "fit",
        "deliver": "deliver",
        "resend": "resend",
        "prune": "prune",
    }


def test_no_run_is_dropped_for_being_late(make: Make) -> None:
    """APScheduler's default drops, without a word, what is more than a second late; here nothing is."""
    scheduler = make(Recorder())
    scheduler.start()
    for job in scheduler.jobs().values():
        assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)


def test_the_first_tick_is_at_once_and_then_on_the_grid(make: Make) -> None:
    """What a stopped process missed is caught up at once; later ticks run when their rows are complete."""
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=5), offset=timedelta(seconds=30))
    job = make(Recorder(), rhythm).jobs()["infer:hosts"]
    assert job.next_run_time == NOW
    assert job.trigger.get_next_fire_time(NOW, NOW) == datetime(2024, 5, 1, 10, 5, 30, tzinfo=UTC)


def test_fits_keep_their_rhythm_over_restarts(make: Make) -> None:
    """``fit_every`` is counted on the grid: a process restarted every hour still fits once a day."""
    trigger = make(Recorder(), SchedulerConfig(infer_every=timedelta(minutes=1))).jobs()["fit:hosts"].trigger
    assert isinstance(trigger, GridTrigger)
    assert trigger.get_next_fire_time(None, NOW) == datetime(2024, 5, 2, tzinfo=UTC)


def test_fits_run_at_the_time_of_day_that_was_asked_for(make: Make) -> None:
    """``start_from`` is meant in ``settings.timezone``."""
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=1), start_from=time(3))
    trigger = make(Recorder(), rhythm, zone="Europe/Berlin").jobs()["fit:hosts"].trigger
    assert trigger.get_next_fire_time(None, NOW) == datetime(2024, 5, 2, 1, tzinfo=UTC)


def test_deliveries_are_looked_for_every_second(make: Make) -> None:
    """An event is on its way within a second of its commit."""
    trigger = make(Recorder()).jobs()["deliver"].trigger
    assert trigger.get_next_fire_time(NOW, NOW) == NOW + timedelta(seconds=1)


def test_what_hangs_stands_in_nobodys_way(make: Make) -> None:
    """With one monitor's tick and another one's fit stuck, other monitors are scored and fit, and events delivered."""
    work = Recorder(hang=("stuck", "fit-missing:stuck"))
    scheduler = make(work, real=True, names=("stuck", "hosts"))
    scheduler.start()
    scheduler.fit_soon("stuck")
    assert work.wait_for("infer:stuck", "fit-missing:stuck")
    scheduler.fit_soon("hosts")
    assert work.wait_for("infer:hosts", "fit-missing:hosts", "deliver")


def test_a_skipped_run_is_counted(make: Make, registry: CollectorRegistry) -> None:
    """While a tick is stuck, its further runs are left out, one after the other, and counted."""
    work = Recorder(hang=("hosts",))
    scheduler = make(work, SchedulerConfig(infer_every=timedelta(milliseconds=20)), real=True)
    scheduler.start()
    labels = {"job": "infer:hosts", "reason": "still_running"}
    pause = threading.Event()
    for _ in range(1000):
        if (registry.get_sample_value("tsdiff_jobs_skipped_total", labels) or 0) >= 2:
            break
        pause.wait(0.01)
    assert (registry.get_sample_value("tsdiff_jobs_skipped_total", labels) or 0) >= 2
    assert work.calls.count("infer:hosts") == 1


def test_an_error_that_got_out_is_counted(make: Make, registry: CollectorRegistry) -> None:
    """Should a job raise after all, the schedule goes on and a metric tells of it."""
    work = Recorder(hang=("deliver",))
    make(work, real=True).start()
    assert work.wait_for("deliver")
    pause = threading.Event()
    for _ in range(1000):
        if registry.get_sample_value("tsdiff_job_errors_total", {"job": "deliver"}):
            break
        pause.wait(0.01)
    assert registry.get_sample_value("tsdiff_job_errors_total", {"job": "deliver"})


def test_after_stop_nothing_begins(make: Make) -> None:
    """A stopped scheduler takes requests without an error and ignores them."""
    work = Recorder()
    scheduler = make(work, real=True)
    scheduler.start()
    assert work.wait_for("infer:hosts")
    scheduler.stop()
    scheduler.stop()
    scheduler.fit_soon("hosts")
    assert "fit-missing:hosts" not in work.calls
