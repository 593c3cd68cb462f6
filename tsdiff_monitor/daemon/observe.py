"""Log lines and counters of ticks and fits: both from one place, so that they cannot drift apart."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from tsdiff_monitor.daemon.fit_slot import FitStopped
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.errors import DataError, SourceError, TsdiffError
from tsdiff_monitor.pipeline.pipeline import FitResult, TickResult
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Observer"]

_log = structlog.get_logger(__name__)


class Observer:
    """Logs and counts the results of ticks and fits, by monitor."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._warnings: dict[tuple[str, str], tuple[str, ...]] = {}
        self._cold: dict[str, frozenset[Group]] = {}
        self._stale: dict[str, frozenset[Path]] = {}

    def outcome(self, what: str, monitor: str, work: Callable[[], str]) -> str:
        """The outcome of ``work``, as counted; an exception is one too, and goes no further."""
        try:
            return work()
        except FitStopped:
            _log.info(f"{what} given up: stopping", monitor=monitor)
            return "stopped"
        except SourceError as error:
            self._metrics.source_errors.labels(monitor, error.reason).inc()
            _log.warning(f"{what} failed: no answer", monitor=monitor, reason=error.reason, error=str(error))
            return "source_error"
        except TsdiffError as error:
            _log.error(f"{what} failed", monitor=monitor, reason=type(error).__name__, error=str(error))
            return "error"
        except Exception as error:  # plug-ins are third-party code
            # Not the exception's own text: it may hold a secret.
            stack = "".join(traceback.format_tb(error.__traceback__))
            _log.error(f"{what} failed: a bug", monitor=monitor, reason="bug", kind=type(error).__name__, stack=stack)
            return "bug"

    def tick(self, monitor: str, result: TickResult) -> None:
        """A tick that read something."""
        self._report_warnings("tick", monitor, result.warnings)
        self._report_calendars(monitor, result.calendar_errors)
        self._report_errors("groups not scored", monitor, result.errors)
        self._metrics.rows_scored.labels(monitor).inc(result.rows)
        self._metrics.groups_without_model.labels(monitor).set(len(result.without_model) - len(result.cold_start))
        self._metrics.groups_cold_start.labels(monitor).set(len(result.cold_start))
        self._report_cold_start(monitor, result.cold_start)
        _log.debug("tick done", monitor=monitor, rows=result.rows, groups=result.groups, until=result.scored_until)
        for change in result.changes:
            self._metrics.events.labels(monitor, change.change.value).inc()
            event = change.event
            _log.info(
                f"event {change.change.value}",
                monitor=monitor,
                group=group_name(event.group),
                event_id=event.id,
                severity=event.severity.value,
                peak=round(event.peak, 2),
                culprits=[culprit.metric for culprit in event.culprits],
            )

    def fit(self, monitor: str, result: FitResult) -> None:
        """A fit that read its history."""
        self._report_warnings("fit", monitor, result.warnings)
        self._report_calendars(monitor, result.calendar_errors)
        self._report_errors("groups not fit", monitor, result.errors)
        self._metrics.groups_fitted.labels(monitor).inc(len(result.fitted))
        counts = {"fitted": len(result.fitted), "current": len(result.current), "failed": len(result.errors)}
        _log.info("fit done", monitor=monitor, **counts, seconds=round(result.seconds, 1))

    def _report_errors(self, message: str, monitor: str, errors: list[tuple[str, TsdiffError]]) -> None:
        """One line for each kind of error: a thousand groups may fail in the same way."""
        kinds: dict[str, list[tuple[str, TsdiffError]]] = {}
        for where, error in errors:
            kinds.setdefault(type(error).__name__, []).append((where, error))
        for kind, found in kinds.items():
            self._metrics.group_errors.labels(monitor, kind).inc(len(found))
            where, error = found[0]
            _log.warning(message, monitor=monitor, reason=kind, count=len(found), first=where, error=str(error))

    def _report_calendars(self, monitor: str, errors: Mapping[Path, DataError]) -> None:
        """Log files that begin or cease to be unreadable, not at every tick."""
        before, now = self._stale.get(monitor, frozenset()), frozenset(errors)
        self._stale[monitor] = now
        self._metrics.calendar_failures.labels(monitor).inc(len(now))
        self._metrics.calendars_stale.labels(monitor).set(len(now))
        for path in sorted(now - before):
            _log.error("calendar not read", monitor=monitor, error=str(errors[path]))
        for path in sorted(before - now):
            _log.info("calendar read again", monitor=monitor, path=str(path))

    def _report_cold_start(self, monitor: str, groups: list[Group]) -> None:
        """Log groups that begin or cease to be scored by a baseline, not at every tick."""
        before, now = self._cold.get(monitor, frozenset()), frozenset(groups)
        self._cold[monitor] = now
        if begun := sorted(now - before):
            _log.info("cold start", monitor=monitor, groups=len(begun), first=group_name(begun[0]))
        if ended := sorted(before - now):
            _log.info("cold start over", monitor=monitor, groups=len(ended), first=group_name(ended[0]))

    def _report_warnings(self, what: str, monitor: str, warnings: tuple[str, ...]) -> None:
        """Each set of warnings once, not at every tick."""
        if warnings != self._warnings.get((what, monitor), ()):
            self._warnings[what, monitor] = warnings
            for warning in warnings:
                _log.warning("the source warns", monitor=monitor, warning=warning)
