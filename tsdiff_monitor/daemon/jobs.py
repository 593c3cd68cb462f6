"""The work of each job: score one monitor, fit one monitor, deliver, resend alerts, delete what is old.

Plain methods without a schedule of their own. A failure is logged and counted here and goes no further, so that a
failing monitor never stops the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import structlog

from tsdiff_monitor.app.build import Assembly
from tsdiff_monitor.daemon.fit_requests import FitRequests
from tsdiff_monitor.daemon.fit_slot import FitSlot, FitTurn
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.observe import Observer
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.pipeline.alarm_rate import seen_per_week
from tsdiff_monitor.store.retention import Keep, forget_old

__all__ = ["Jobs"]

_DELIVER_SECONDS = 5.0
_PATIENCE = 0.5
"""Seconds for which a run waits for an attempt under way; what comes of a slower one is settled by a later run."""
_log = structlog.get_logger(__name__)


class Jobs:
    """The work of all monitors. Thread-safe; ``clock`` gives Unix seconds, ``timer`` seconds of any beginning.

    ``fit_soon`` is called with a monitor's name when groups without a model should be fit as soon as possible.
    Raises ``StoreError`` when the state cannot be read.
    """

    def __init__(
        self,
        assembly: Assembly,
        metrics: Metrics,
        *,
        fit_soon: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipelines = assembly.pipelines
        self._store = assembly.store
        self._models = assembly.models
        self._dispatcher = assembly.dispatcher
        self._resender = assembly.resender
        settings, monitors = assembly.config.settings, assembly.config.monitors
        self._keep = Keep(settings.keep_events, settings.keep_groups)
        self._forget_after = {name: monitor.forget_after for name, monitor in monitors.items()}
        self._metrics = metrics
        self._observer = Observer(metrics)
        self._clock = clock
        self._timer = timer
        self._requests = FitRequests(fit_soon, clock)
        self._slot = FitSlot()
        self._fitting = {name: threading.Lock() for name in self._pipelines}
        self._changed = threading.Condition()
        self._running: list[str] = []
        self._stopping = False
        self._stopped: dict[str, bool] = {}
        self._waiting = {name for name in self._pipelines if not self._has_models(name)}
        metrics.count_pending(self._pending)
        for name, pipeline in self._pipelines.items():
            metrics.watch(name, pipeline.monitor.alarms_per_week)
            self._refresh(name)

    def infer(self, monitor: str) -> None:
        """Score the rows of one monitor that are new by now."""
        with self._run(f"infer:{monitor}") as allowed:
            if not allowed:
                return
            began = self._timer()
            outcome = self._observer.outcome("tick", monitor, lambda: self._tick(monitor))
            self._metrics.tick_seconds.labels(monitor).observe(self._timer() - began)
            self._metrics.ticks.labels(monitor, outcome).inc()

    def fit(self, monitor: str, only_missing: bool = False) -> None:
        """Fit one monitor's groups, or only those without a model; waits for a fit of the same monitor to end."""
        try:
            with self._run(f"fit:{monitor}") as allowed:
                if not allowed:
                    return
                began = self._timer()
                with self._fitting[monitor]:
                    outcome = self._observer.outcome("fit", monitor, lambda: self._fit(monitor, only_missing))
                self._metrics.fit_seconds.labels(monitor).observe(self._timer() - began)
                self._metrics.fits.labels(monitor, outcome).inc()
        finally:
            if only_missing:
                self._requests.done(monitor)

    def fit_missing(self, monitor: str) -> None:
        """Fit the groups of one monitor that lack a model."""
        self.fit(monitor, only_missing=True)

    def deliver(self) -> None:
        """Attempt the deliveries that are due, for a few seconds at most; a slow attempt goes on by itself."""
        self._with_store("deliver", "delivery", lambda: self._dispatcher.drain(self._until(), patience=_PATIENCE))

    def resend(self) -> None:
        """Begin to resend the alerts that lapse otherwise, to each notifier whose time has come."""
        self._with_store("resend", "resending of alerts", self._resender.run_due)

    def prune(self) -> None:
        """Delete the events that were over ``settings.keep_events`` ago, and groups not seen for ``keep_groups``."""
        with self._run("prune") as allowed:
            if not allowed:
                return
            try:
                gone = forget_old(self._store, self._models, self._forget_after, self._now(), self._keep)
            except StoreError as error:
                _log.error("old events not deleted", error=str(error))
                return
            if gone.events:
                _log.info("old events deleted", events=gone.events)
            if gone.groups or gone.folders:
                _log.info("old groups deleted", groups=gone.groups, models_of_no_group=gone.folders)

    def request_fits(self) -> None:
        """Ask for a first fit of every monitor's groups that have none."""
        for name in self._pipelines:
            self._requests.ask(name, frozenset())

    @property
    def waiting(self) -> list[str]:
        """The monitors that cannot score yet because their first fit has not ended."""
        return sorted(self._waiting)

    def stop(self, seconds: float) -> list[str]:
        """Begin no more work, give up fits, and wait for the rest; returns what is still running after that."""
        self._slot.close()
        with self._changed:
            self._stopping = True
            self._changed.wait_for(lambda: not self._running, seconds)
            return sorted(self._running)

    def _tick(self, monitor: str) -> str:
        result = self._pipelines[monitor].tick(self._now(), cold_start=True, absent=True)
        if result.scored_until is None:  # nothing was due
            return "ok"
        self._observer.tick(monitor, result)
        self._refresh(monitor)
        if result.without_model or (monitor in self._waiting and not result.groups):
            self._requests.ask(monitor, frozenset(result.without_model))
        elif result.groups:
            self._ready(monitor)
        return "partial" if result.errors else "ok"

    def _fit(self, monitor: str, only_missing: bool) -> str:
        pipeline = self._pipelines[monitor]
        with FitTurn(self._slot, pipeline.reader, self._timer) as turn:
            result = replace(pipeline, reader=turn).fit(
                self._now(), only_missing=only_missing, progress=turn.progress, clock=turn.clock
            )
        self._observer.fit(monitor, result)
        self._ready(monitor)
        return "partial" if result.errors else "ok"

    def _refresh(self, monitor: str) -> None:
        open_events = [one for one in self._store.events(monitor=monitor, state="open") if not one.members]
        self._metrics.events_open.labels(monitor).set(len(open_events))
        last = max(self._store.last_scored(monitor).values(), default=None)
        if last is None:
            return
        self._metrics.last_scored.labels(monitor).set(last.timestamp())
        seen = seen_per_week(self._store, monitor, last)
        if seen is not None:
            self._metrics.observed(monitor, seen)

    def _has_models(self, monitor: str) -> bool:
        groups = self._store.groups(monitor)
        return bool(groups) and all(self._models.exists(monitor, group) for group in groups)

    def _ready(self, monitor: str) -> None:
        with self._changed:
            if monitor not in self._waiting:
                return
            self._waiting = self._waiting - {monitor}
            left = len(self._waiting)
        _log.info("monitor ready", monitor=monitor)
        if not left:
            _log.info("ready")

    def _pending(self) -> float:
        try:
            return float(self._store.counts()["pending"])
        except StoreError:  # a scrape must show the other metrics all the same
            return float("nan")

    def _now(self) -> pd.Timestamp:
        return pd.Timestamp(round(self._clock() * 1e9), unit="ns", tz="UTC")

    def _until(self) -> float:
        return self._clock() + _DELIVER_SECONDS

    def _with_store(self, job: str, what: str, work: Callable[[], object]) -> None:
        """Do ``work`` of a job that comes every second: one line when the store fails, one when it works again."""
        with self._run(job) as allowed:
            if not allowed:
                return
            try:
                work()
            except StoreError as error:
                if not self._stopped.get(job):
                    _log.error(f"{what} stopped", error=str(error))
                self._stopped[job] = True
            else:
                if self._stopped.pop(job, False):
                    _log.info(f"{what} goes on")

    @contextmanager
    def _run(self, job: str) -> Iterator[bool]:
        """True where the job may run; while it does, :meth:`stop` waits for it."""
        with self._changed:
            allowed = not self._stopping
            if allowed:
                self._running.append(job)
        try:
            yield allowed
        finally:
            if allowed:
                with self._changed:
                    self._running.remove(job)
                    self._changed.notify_all()
