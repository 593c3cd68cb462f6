"""The summary of a replay as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsdiff_monitor.cli.common import count, emit

if TYPE_CHECKING:
    from tsdiff_monitor.backtest.report.summary import Summary

__all__ = ["print_summary"]


def print_summary(summary: Summary) -> None:
    """Print what a person wants to know first; the report has the rest."""
    emit(f"{count(summary.groups, 'group')}, {count(summary.rows, 'row')} scored, {count(summary.events, 'event')}")
    if summary.labelled_incidents is not None:
        delay = summary.median_delay_seconds
        waited = "" if delay is None else f", median delay {delay:g} s"
        emit(f"{summary.detected_incidents} of {count(summary.labelled_incidents, 'labelled incident')} found{waited}")
    if summary.false_events is not None:
        rate = summary.false_events_per_week
        often = "" if rate is None else f" ({rate:.2g} per week)"
        emit(f"{count(summary.false_events, 'false event')}{often}")
    if summary.culprit_in_top3 is not None:
        emit(f"{summary.culprit_in_top3} of the incidents found have a true culprit among the top 3 metrics")
