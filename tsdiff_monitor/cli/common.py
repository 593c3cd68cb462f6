"""What the commands share: errors as messages, progress, times as arguments."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Advance", "ConfigFile", "Storage", "count", "note", "parse_time", "progress", "report_errors"]

ConfigFile = Annotated[Path, typer.Option("--config.file", metavar="FILE", help="Configuration file (YAML).")]
Storage = Annotated[
    Path | None, typer.Option("--storage.path", metavar="DIR", help="Replaces `settings.storage_path`.")
]

Advance = Callable[[str, float, float], None]
"""``(what, done, total)``: how far the named piece of work has come."""

_PLAIN_EVERY = 5.0
"""Seconds between two plain progress lines of the same piece of work."""


def note(text: str) -> None:
    """Tell the user something beside the result, on standard error."""
    typer.echo(text, err=True)


def count(number: int, noun: str) -> str:
    """``1 event``, ``2 events``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def report_errors(errors: Sequence[tuple[str, Exception]]) -> None:
    """Print what stopped single groups or monitors."""
    for where, error in errors:
        note(f"error: {where}: {error}")


def parse_time(text: str | None, option: str) -> pd.Timestamp | None:
    """A time given as an option: ISO 8601 (UTC unless it says otherwise) or Unix seconds."""
    import pandas as pd

    if text is None:
        return None
    try:
        time = pd.Timestamp(float(text), unit="s") if text.replace(".", "", 1).isdigit() else pd.Timestamp(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time; write it like 2026-01-05T13:30:00Z or as Unix seconds", param_hint=option
        ) from None
    return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")


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
