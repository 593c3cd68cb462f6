"""The summary of a replay as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tsdiff_monitor.report.summary import Summary

__all__ = ["print_summary"]


def print_summary(summary: Summary) -> None:
    """Print what a person wants to know first; the report has the rest."""
    lines = [f"{summary.groups:,} groups, {summary.rows:,} rows scored, {summary.events:,} events"]
    if summary.labelled_incidents is not None:
        lines.append(
            f"{summary.detected_incidents} of {summary.labelled_incidents} labelled incidents found"
            + (f", median delay {summary.median_delay_seconds:g} s" if summary.median_delay_seconds is not None else "")
        )
        lines.append(f"{summary.false_events} false events ({summary.false_events_per_week:.2g} per week)")
    if summary.culprit_in_top3 is not None:
        lines.append(f"{summary.culprit_in_top3} of the incidents found have a true culprit among the top 3 metrics")
    for line in lines:
        typer.echo(line)
