"""The service: jobs and their schedule, started and stopped as one. Knows nothing of signals and sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tsdiff_monitor.app.build import Assembly
from tsdiff_monitor.daemon.jobs import Jobs
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.scheduler import Scheduler
from tsdiff_monitor.errors import StoreError

__all__ = ["DRAIN_SECONDS", "JOB_SECONDS", "Service"]

# Together well below the 30 s that Kubernetes gives a process to end.
JOB_SECONDS = 15.0
DRAIN_SECONDS = 8.0

_log = structlog.get_logger(__name__)


class Service:
    """All monitors of one process at work. The assembly stays the caller's to close."""

    def __init__(
        self,
        assembly: Assembly,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = assembly.dispatcher
        self._clock = clock
        self.jobs = Jobs(assembly, metrics, fit_soon=self._fit_soon, clock=clock, timer=timer)
        self.scheduler = Scheduler(assembly.config, self.jobs, metrics)
        self._state = "starting"

    def start(self) -> None:
        """Fit what has no model, score what was missed, and go on by the schedule. Returns at once."""
        self.jobs.request_fits()
        self.scheduler.start()
        self._state = "running"
        if not self.jobs.waiting:
            _log.info("ready")

    @property
    def not_ready(self) -> str:
        """Why the service is not ready, in words; empty when it is."""
        if self._state != "running":
            return self._state
        waiting = self.jobs.waiting
        return f"waiting for the first fit of {', '.join(waiting)}" if waiting else ""

    def stop(self, *, job_seconds: float = JOB_SECONDS, drain_seconds: float = DRAIN_SECONDS) -> bool:
        """Begin nothing new, let ticks finish, deliver what is due; False when a tick or fit still runs after that.

        Work that is cut off is done after the next start: rows are scored from the last commit on, and deliveries wait
        in the store. A notifier that hangs is waited for until the end of ``drain_seconds``, or for less if its attempt
        has timed out; its thread keeps nothing from ending.
        """
        self._state = "stopping"
        self.scheduler.stop()
        running = self.jobs.stop(job_seconds)
        if running:
            _log.warning("left behind: still running", jobs=running, waited_seconds=job_seconds)
        try:
            self._dispatcher.drain(self._clock() + drain_seconds)
        except StoreError as error:
            _log.error("delivery stopped", error=str(error))
        if hanging := self._dispatcher.hanging():
            _log.warning("left behind: attempts that have not returned", notifiers=hanging)
        return not running

    def _fit_soon(self, monitor: str) -> None:
        self.scheduler.fit_soon(monitor)
