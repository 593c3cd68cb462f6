"""The schedule: APScheduler 3.x, its jobs derived from the configuration, its state in memory.

https://apscheduler.readthedocs.io/en/3.x/userguide.html. A job left out is no loss: a run scores from the last scored
row, never from ``now``. It is counted all the same, for one that is left out again and again is a stuck source or a
machine that is too slow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any, Protocol
from zlib import crc32

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.triggers import DailyTrigger, GridTrigger

__all__ = ["JOB_DEFAULTS", "Scheduler", "Work", "spread"]

# As constructor keywords these would be ignored, and APScheduler's own grace of one second drops jobs silently.
JOB_DEFAULTS = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}

_DELIVER_EVERY = timedelta(seconds=1)
_SPREAD = 0.25  # of an interval: later than that the news would be late, closer together they would be a herd
_LONGEST_SPREAD = timedelta(minutes=1)
_LONGEST_FIT_SPREAD = timedelta(minutes=15)
_START_EVERY = timedelta(milliseconds=250)  # between the first ticks of two monitors, less where there are many
_PRUNE_AT = time(4, 30)
_REASONS = {EVENT_JOB_MISSED: "missed", EVENT_JOB_MAX_INSTANCES: "still_running"}
_log = structlog.get_logger(__name__)


class Work(Protocol):
    """The work of the jobs; :class:`tsdiff_monitor.daemon.jobs.Jobs` is one."""

    def infer(self, monitor: str) -> None: ...
    def fit(self, monitor: str) -> None: ...
    def fit_missing(self, monitor: str) -> None: ...
    def deliver(self) -> None: ...
    def resend(self) -> None: ...
    def prune(self) -> None: ...


class Scheduler:
    """Runs ``work`` as the configuration says. Scores, fits, deliveries and resends have threads of their own.

    There are as many threads as jobs that can run at once, so that one that hangs never takes the place of another.
    Monitors are spread over a part of their interval, see :func:`spread`, and at the start over a few seconds.
    """

    def __init__(
        self,
        config: Config,
        work: Work,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._work = work
        self._metrics = metrics
        self._now = now
        self._skipping: set[str] = set()
        monitors = max(len(config.monitors), 1)
        self._scheduler = BackgroundScheduler()
        self._scheduler.configure(
            timezone=UTC,
            job_defaults=JOB_DEFAULTS,
            executors={
                "infer": ThreadPoolExecutor(monitors),
                "fit": ThreadPoolExecutor(2 * monitors),  # a scheduled fit and one that a tick asked for
                "deliver": ThreadPoolExecutor(1),
                "resend": ThreadPoolExecutor(1),
                "prune": ThreadPoolExecutor(1),
            },
        )
        mask = EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED
        self._scheduler.add_listener(self._heard, mask)
        began = now()
        for place, (name, monitor) in enumerate(config.monitors.items()):
            rhythm = config.schedulers[monitor.scheduler]
            # The first run comes soon, to catch up; the grid goes on from there.
            begin = began + place * min(_START_EVERY, _width(rhythm.infer_every, _LONGEST_SPREAD) / monitors)
            self._add(f"infer:{name}", work.infer, name, infer_trigger(name, rhythm), "infer", next_run_time=begin)
            self._add(f"fit:{name}", work.fit, name, fit_trigger(name, rhythm, config.settings), "fit")
        for job, function in (("deliver", work.deliver), ("resend", work.resend)):
            self._scheduler.add_job(function, GridTrigger(_DELIVER_EVERY), id=job, executor=job)
        every_day = DailyTrigger(_PRUNE_AT, config.settings.zone)
        self._scheduler.add_job(work.prune, every_day, id="prune", executor="prune")

    def start(self) -> None:
        """Start the threads."""
        self._scheduler.start()

    def fit_soon(self, monitor: str) -> None:
        """Fit the monitor's groups without a model as soon as possible."""
        self._add(
            f"fit-missing:{monitor}", self._work.fit_missing, monitor, None, "fit",
            next_run_time=self._now(), replace_existing=True,
        )  # fmt: skip

    def stop(self) -> None:
        """Start no more jobs; does not wait for those that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def jobs(self) -> dict[str, Any]:
        """The jobs by their id, as APScheduler's ``Job``."""
        return {job.id: job for job in self._scheduler.get_jobs()}

    def _add(
        self, job: str, function: Callable[[str], None], monitor: str, trigger: Any, executor: str, **options: Any
    ) -> None:
        self._scheduler.add_job(function, trigger, args=[monitor], id=job, executor=executor, **options)

    def _heard(self, event: Any) -> None:
        job = event.job_id
        if event.code == EVENT_JOB_EXECUTED:
            self._skipping.discard(job)
        elif event.code == EVENT_JOB_ERROR:
            self._metrics.job_errors.labels(job).inc()
            _log.error("job failed", job=job, kind=type(event.exception).__name__, stack=event.traceback)
        else:
            reason = _REASONS[event.code]
            self._metrics.jobs_skipped.labels(job, reason).inc()
            if job not in self._skipping:  # once in a row: the counter shows how often
                self._skipping.add(job)
                _log.warning("job skipped: its work is left to its next run", job=job, reason=reason)


def spread(monitor: str, every: timedelta, longest: timedelta) -> timedelta:
    """A stable delay from the monitor's name: within a quarter of the interval, and shorter than ``longest``."""
    return _width(every, longest) * (crc32(monitor.encode()) / 2**32)


def _width(every: timedelta, longest: timedelta) -> timedelta:
    return min(_SPREAD * every, longest)


def infer_trigger(monitor: str, rhythm: SchedulerConfig) -> GridTrigger:
    """Every ``infer_every`` on the grid, later by the offset (then its rows are due) and by the monitor's delay."""
    return GridTrigger(rhythm.infer_every, rhythm.offset + spread(monitor, rhythm.infer_every, _LONGEST_SPREAD))


def fit_trigger(monitor: str, rhythm: SchedulerConfig, settings: Settings) -> GridTrigger | DailyTrigger:
    """Every ``fit_every`` on the grid, later by the monitor's delay; with ``start_from`` at that time, without one."""
    if rhythm.start_from is None:
        return GridTrigger(rhythm.fit_every, spread(monitor, rhythm.fit_every, _LONGEST_FIT_SPREAD))
    return DailyTrigger(rhythm.start_from, settings.zone, max(round(rhythm.fit_every / timedelta(days=1)), 1))
