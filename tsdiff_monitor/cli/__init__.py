"""The command line, one module per command. Heavy libraries are imported when a command needs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

# Threads that wait by spinning make a fit ten times slower as soon as another process wants a core (measured:
# docs/adr/0006). Must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from tsdiff_monitor.cli import backtest, check, deliveries, demo, fit, notify, once, rehearse, run, score
from tsdiff_monitor.cli.common import note
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.system.logging import LogLevel, configure_logging
from tsdiff_monitor.system.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="tsdiff-monitor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watches metrics with a conditional diffusion imputation model and reports explained anomalies.",
)
for module in (demo, run, once, backtest, rehearse, fit, score):
    app.command(module.__name__.rpartition(".")[2])(module.command)
app.command("test-notify")(notify.test_command)
app.command("feedback")(notify.feedback_command)
app.command("deliveries")(deliveries.command)
app.add_typer(check.app, name="check")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tsdiff-monitor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends in a message and exit code 1, never in a traceback."""
    configure_logging(LogLevel.warn)  # on standard error: standard output is for results
    try:
        app(arguments)
    except TsdiffError as error:
        note(f"error: {error}")
        sys.exit(1)
