"""Which jobs a configuration gives, and that none of them is in another's way."""

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
from tsdiff_monitor.daemon.scheduler import Scheduler, fit_trigger, spread
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
    """Two jobs for each monitor, one each for deliveries, resends and old events, each on the threads of its kind."""
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
    """All that a stopped process missed is caught up at once; later ticks run when their rows are complete."""
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=5), offset=timedelta(seconds=30))
    job = make(Recorder(), rhythm).jobs()["infer:hosts"]
    assert job.next_run_time == NOW
    due = datetime(2024, 5, 1, 10, 5, 30, tzinfo=UTC)
    assert due <= job.trigger.get_next_fire_time(NOW, NOW) < due + timedelta(minutes=1)


def test_fits_keep_their_rhythm_over_restarts(make: Make) -> None:
    """``fit_every`` is counted on the grid: a process restarted every hour still fits once a day."""
    trigger = make(Recorder(), SchedulerConfig(infer_every=timedelta(minutes=1))).jobs()["fit:hosts"].trigger
    assert isinstance(trigger, GridTrigger)
    first = trigger.get_next_fire_time(None, NOW)
    assert datetime(2024, 5, 2, tzinfo=UTC) <= first < datetime(2024, 5, 2, 0, 15, tzinfo=UTC)
    assert fit_trigger("hosts", MINUTELY, Settings()).get_next_fire_time(None, first) == first


def test_fits_run_at_the_time_of_day_that_was_asked_for(make: Make) -> None:
    """``start_from`` is meant in ``settings.timezone``."""
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=1), start_from=time(3))
    trigger = make(Recorder(), rhythm, zone="Europe/Berlin").jobs()["fit:hosts"].trigger
    assert trigger.get_next_fire_time(None, NOW) == datetime(2024, 5, 2, 1, tzinfo=UTC)  # to the second


MANY = tuple(f"monitor-{number}" for number in range(200))


@pytest.mark.parametrize(
    ("every", "width"), [(timedelta(minutes=1), timedelta(seconds=15)), (timedelta(hours=1), timedelta(minutes=1))]
)
def test_monitors_are_spread_over_a_part_of_their_interval(make: Make, every: timedelta, width: timedelta) -> None:
    """Two hundred of them neither tick nor fit at the same instant, and none is late by more than that part."""
    due = datetime(2024, 5, 1, 11, 0, 30, tzinfo=UTC)
    before = due - timedelta(seconds=1)
    jobs = make(Recorder(), SchedulerConfig(infer_every=every), names=MANY).jobs()
    ticks = [jobs[f"infer:{name}"].trigger.get_next_fire_time(before, before) - due for name in MANY]
    assert min(ticks) >= timedelta(0) and max(ticks) < width
    fits = [jobs[f"fit:{name}"].trigger.get_next_fire_time(None, NOW) for name in MANY]
    for times, whole in ((ticks, width), (fits, timedelta(minutes=15))):
        assert len(set(times)) == len(MANY)
        assert max(times) - min(times) > 0.9 * whole
        tenths = [int(10 * ((time - min(times)) / whole)) for time in times]
        assert max(tenths.count(tenth) for tenth in range(10)) < len(MANY) / 5


@pytest.mark.parametrize(("monitors", "apart"), [(3, timedelta(milliseconds=250)), (200, timedelta(milliseconds=75))])
def test_the_first_ticks_are_spread_too(make: Make, monitors: int, apart: timedelta) -> None:
    """Catching up begins at once with the first monitor, and soon with the others, however many there are."""
    jobs = make(Recorder(), names=MANY[:monitors]).jobs()
    times = [jobs[f"infer:{name}"].next_run_time - NOW for name in MANY[:monitors]]
    assert times == [apart * number for number in range(monitors)]


def test_a_monitor_keeps_its_place() -> None:
    """Its delay depends on its name and interval alone: not on other monitors, the process or the machine."""
    minute, longest = timedelta(minutes=1), timedelta(minutes=1)
    delays = [spread(name, minute, longest).total_seconds() for name in ("hosts", "shops")]
    assert delays == [pytest.approx(12.703263), pytest.approx(2.078797)]


@pytest.mark.parametrize("job", ["deliver", "resend"])
def test_deliveries_are_looked_for_every_second(make: Make, job: str) -> None:
    """An event is on its way within a second of its commit, and alerts are resent when they are due."""
    trigger = make(Recorder()).jobs()[job].trigger
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
    """Should a job raise after all, the schedule goes on and a metric reports it."""
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
