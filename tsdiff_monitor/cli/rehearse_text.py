"""A rehearsal's outcome as tables in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tsdiff_monitor.cli.common import count, emit
from tsdiff_monitor.settings.durations import format_duration

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from tsdiff_monitor.rehearsal.outcome import Outcome

__all__ = ["print_outcome"]

_METRICS = 15
"""Metrics listed, the least noticed first; rehearsal.json has all."""


def print_outcome(outcome: Outcome) -> None:
    """Print what a person wants to know first, per kind and per metric."""
    from tsdiff_monitor.rehearsal.phrases import facts, verdict

    for line in facts(outcome):
        emit(line)
    _print(_kinds(outcome))
    _print(_metrics(outcome))
    for line in verdict(outcome):
        emit(line)


def _kinds(outcome: Outcome) -> Table:
    from tsdiff_monitor.rehearsal.phrases import kind_name

    table = _table("kind of incident", "found", "", "median delay", "culprit in top 3")
    for one in outcome.kinds():
        delay = "" if one.delay_rows is None else delay_text(one.delay_rows, outcome.step)
        named = f"{one.culprit_in_top3} of {one.found}" if one.found else ""
        table.add_row(kind_name(one.kind), f"{one.found} of {one.incidents}", f"{one.recall:.0%}", delay, named)
    return table


def _metrics(outcome: Outcome) -> Table:
    table = _table("metric failing alone", "found", "")
    results = outcome.metrics()
    for one in results[:_METRICS]:
        table.add_row(one.metric, f"{one.found} of {one.incidents}", f"{one.share:.0%}")
    if len(results) > _METRICS:
        table.add_row(f"and {count(len(results) - _METRICS, 'metric')} more", "", "")
    return table


def delay_text(rows: float, step: pd.Timedelta) -> str:
    """``3 rows (3m)``."""
    return f"{rows:g} {'row' if rows == 1 else 'rows'} ({format_duration((rows * step).to_pytimedelta())})"


def _table(first: str, *others: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _print(table: Table) -> None:
    """Through ``emit``: rich ends the process when a pipe breaks."""
    import io

    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else 100)
    with console.capture() as captured:
        console.print(table)
    emit(captured.get().strip("\n"))
