"""The process's own metrics, as documented in ``docs/metrics.md`` (a test keeps the two equal).

Names and types: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tsdiff_monitor.delivery.dispatcher import Attempt
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.system.version import __version__

__all__ = ["FIT_OUTCOMES", "TICK_OUTCOMES", "Metrics"]

TICK_OUTCOMES = ("ok", "partial", "source_error", "error", "bug")
FIT_OUTCOMES = (*TICK_OUTCOMES, "stopped")

_TICK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_FIT_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 10800)
_DELIVERY_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Every metric of one process, in ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(name, meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, meaning, labels, buckets=buckets, registry=registry)

        self.ticks = counter("tsdiff_ticks_total", "Ticks of a monitor: reads and scores.", "monitor", "outcome")
        self.tick_seconds = histogram("tsdiff_tick_seconds", "How long a tick took.", _TICK_BUCKETS, "monitor")
        self.rows_scored = counter("tsdiff_rows_scored_total", "Rows scored, summed over groups.", "monitor")
        self.last_scored = gauge(
            "tsdiff_last_scored_timestamp_seconds", "Time of the newest row scored in any group, Unix time.", "monitor"
        )
        self.fits = counter("tsdiff_fits_total", "Fits of a monitor's groups.", "monitor", "outcome")
        self.fit_seconds = histogram(
            "tsdiff_fit_seconds", "How long a fit took, waiting for other fits included.", _FIT_BUCKETS, "monitor"
        )
        self.groups_fitted = counter("tsdiff_groups_fitted_total", "Models fit anew.", "monitor")
        self.groups_without_model = gauge(
            "tsdiff_groups_without_model", "Groups the newest tick could not score for want of a model.", "monitor"
        )
        self.groups_cold_start = gauge(
            "tsdiff_groups_cold_start",
            "Groups the newest tick scored by a baseline until they have a model.",
            "monitor",
        )
        self.source_errors = counter(
            "tsdiff_source_errors_total", "Reads that the source could not answer.", "monitor", "reason"
        )
        self.group_errors = counter(
            "tsdiff_group_errors_total",
            "Groups (or writers) that failed in a tick or fit; the reason is the error's class.",
            "monitor",
            "reason",
        )
        self.calendar_failures = counter(
            "tsdiff_calendar_failures_total", "Calendar files that a tick or fit could not read, each time.", "monitor"
        )
        self.calendars_stale = gauge(
            "tsdiff_calendars_stale",
            "Calendar files that cannot be read now: their last content is used, or none if there never was any.",
            "monitor",
        )
        self.events = counter("tsdiff_events_total", "Changes of events.", "monitor", "change")
        self.events_open = gauge("tsdiff_events_open", "Events open now.", "monitor")
        self.alarms_target = gauge(
            "tsdiff_alarms_per_week_target", "False events a week that the configuration allows.", "monitor"
        )
        self.alarms_observed = gauge(
            "tsdiff_alarms_per_week_observed",
            "Events a week over the last four that were not marked as real or expected: false alarms at most.",
            "monitor",
        )
        # Dashboards and rules of users still ask for the former names.
        self.alarms_promised = gauge(
            "tsdiff_alarms_per_week_promised",
            "Former name of tsdiff_alarms_per_week_target, with its value.",
            "monitor",
        )
        self.alarms_seen = gauge(
            "tsdiff_alarms_per_week_seen", "Former name of tsdiff_alarms_per_week_observed, with its value.", "monitor"
        )
        self.deliveries = counter(
            "tsdiff_deliveries_total",
            "Attempts to deliver a change; failed ones are tried again, dead ones are lost.",
            "notifier",
            "outcome",
            "reason",
        )
        self.delivery_seconds = histogram(
            "tsdiff_delivery_seconds", "How long an attempt to deliver took.", _DELIVERY_BUCKETS, "notifier"
        )
        self.outbox_pending = gauge("tsdiff_outbox_pending", "Deliveries not made yet.")
        self.jobs_skipped = counter(
            "tsdiff_jobs_skipped_total", "Runs of a job left out; its next run does their work.", "job", "reason"
        )
        self.job_errors = counter("tsdiff_job_errors_total", "Runs of a job that ended in an unhandled error.", "job")
        self.build_info = gauge("tsdiff_build_info", "Always 1; the label is the running version.", "version")
        self.build_info.labels(__version__).set(1)

    def observed(self, monitor: str, alarms_per_week: float) -> None:
        """Show the alarms a week that a monitor really had."""
        for gauge in (self.alarms_observed, self.alarms_seen):
            gauge.labels(monitor).set(alarms_per_week)

    def watch(self, monitor: str, alarms_per_week: float) -> None:
        """Show a monitor's counters from the start, at 0: a rate needs the value before the first increase."""
        for gauge in (self.alarms_target, self.alarms_promised):
            gauge.labels(monitor).set(alarms_per_week)
        self.rows_scored.labels(monitor)
        self.groups_fitted.labels(monitor)
        self.calendar_failures.labels(monitor)
        self.calendars_stale.labels(monitor)
        for outcome in TICK_OUTCOMES:
            self.ticks.labels(monitor, outcome)
        for outcome in FIT_OUTCOMES:
            self.fits.labels(monitor, outcome)
        for change in Change:
            self.events.labels(monitor, change.value)

    def count_pending(self, pending: Callable[[], float]) -> None:
        """Ask ``pending`` for ``tsdiff_outbox_pending`` at each scrape."""
        self.outbox_pending.set_function(pending)

    def attempted(self, attempt: Attempt) -> None:
        """Count one attempt to deliver; the dispatcher's ``observe``."""
        self.deliveries.labels(attempt.notifier, attempt.outcome, attempt.reason).inc()
        self.delivery_seconds.labels(attempt.notifier).observe(attempt.took)
