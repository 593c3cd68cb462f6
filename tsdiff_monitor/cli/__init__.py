"""The command line, one module per command. Heavy libraries are imported when a command needs them."""

from __future__ import annotations

import os
import sys
from typing import Annotated

# Threads that wait by spinning make a fit ten times slower as soon as another process wants a core (measured:
# docs/adr/0006). Must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from tsdiff_monitor import __version__
from tsdiff_monitor.cli import backtest, check, demo, fit, once, run, score
from tsdiff_monitor.errors import TsdiffError

__all__ = ["app", "main"]

app = typer.Typer(
    name="tsdiff-monitor",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Watches metrics with a conditional diffusion imputation model and reports explained anomalies.",
)
for module in (demo, run, once, backtest, fit, score):
    app.command(module.__name__.rpartition(".")[2])(module.command)
app.add_typer(check.app, name="check")


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"tsdiff-monitor {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a mistake of the user ends in a message and exit code 1, never in a traceback."""
    try:
        app()
    except TsdiffError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away; the interpreter must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
