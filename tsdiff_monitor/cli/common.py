"""Helpers of all commands: results, errors as messages, progress, times as arguments."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from tsdiff_monitor.errors import OutputError, TsdiffError
from tsdiff_monitor.system.internal_error import known_error

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Advance",
    "Errors",
    "collecting",
    "count",
    "emit",
    "note",
    "parse_time",
    "progress",
    "report_errors",
]

Advance = Callable[[str, float, float], None]
"""``(what, done, total)``: progress of the named piece of work."""

Errors = list[tuple[str, TsdiffError]]
"""Errors of single groups or monitors, each after the place where it stopped the work."""

_PLAIN_EVERY = 5.0
"""Seconds between two plain progress lines of the same piece of work."""


def emit(line: str, stream: TextIO | None = None) -> None:
    """Print a line of the result on ``stream``, by default standard output.

    Raises :class:`OutputError` when it is closed or full.
    """
    out = sys.stdout if stream is None else stream
    try:
        print(line, file=out, flush=True)
    except OSError as error:
        # What is still in the buffer would fail once more when the interpreter ends, with a complaint.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error


def note(text: str) -> None:
    """Print a remark beside the result, on standard error."""
    typer.echo(text, err=True)


def count(number: int, noun: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def collecting(errors: Errors, where: str) -> Iterator[None]:
    """Add what stops the block to ``errors``: one bad monitor must not stop the others."""
    try:
        yield
    except Exception as error:  # plug-ins may be anybody's code
        errors.append((where, known_error(error, where=where)))


def report_errors(errors: Errors) -> None:
    """Print the errors and end with exit code 1; do nothing when there are none."""
    for where, error in errors:
        note(f"error: {where}: {error}")
    if errors:
        raise typer.Exit(1)


def parse_time(text: str | None, option: str) -> pd.Timestamp | None:
    """A time given as an option: ISO 8601 (UTC unless it says otherwise) or Unix seconds, between 1970 and 2200."""
    import pandas as pd

    if text is None:
        return None
    try:
        time = pd.Timestamp(float(text), unit="s") if text.replace(".", "", 1).isdigit() else pd.Timestamp(text)
        time = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
        known = 1970 <= time.year < 2200  # not for NaT either
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise typer.BadParameter(
            f"{text!r} is not a time; write it like 2026-01-05T13:30:00Z or as Unix seconds", param_hint=option
        )
    return time.as_unit("ns")


@contextmanager
def progress() -> Iterator[Advance]:
    """Bars on a terminal, else a plain line now and then; always on standard error."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tasks = {}
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def advance(what: str, done: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield advance


def _plain_lines() -> Advance:
    last: dict[str, float] = {}

    def advance(what: str, done: float, total: float) -> None:
        now = time.monotonic()
        if done < total and what in last and now - last[what] < _PLAIN_EVERY:
            return
        last[what] = now
        note(f"{what}: {done:g}/{total:g}")

    return advance
