"""``tsdiff-monitor check``: checks of configurations and their queries, and the schema of configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.options import ConfigArgument, Monitor
from tsdiff_monitor.errors import ConfigError

if TYPE_CHECKING:
    from tsdiff_monitor.config.loader import Config

__all__ = ["app"]

EXIT_ERROR = 1
EXIT_WARNINGS = 3

app = typer.Typer(no_args_is_help=True, help="Check a configuration, or print what may stand in one.")


@app.command("config")
def config_command(file: ConfigArgument) -> None:
    """Check a configuration file and name everything that is wrong with it.

    Nothing is contacted. Exit code 0: good; 1: wrong; 3: valid, but with warnings.

    Example: tsdiff-monitor check config monitor.yml
    """
    from tsdiff_monitor.config.lint import lint
    from tsdiff_monitor.config.loader import load_config

    try:
        config = load_config(file)
    except ConfigError as error:
        typer.echo(error, err=True)
        raise typer.Exit(EXIT_ERROR) from None
    warnings = lint(config)
    for warning in warnings:
        typer.echo(f"{file}: warning: {warning}", err=True)
    verdict = f"valid, with {_count(len(warnings), 'warning')}" if warnings else "good"
    typer.echo(f"{file}: {verdict}: {_contents(config)}")
    if warnings:
        raise typer.Exit(EXIT_WARNINGS)


@app.command("sources")
def sources_command(
    file: ConfigArgument,
    monitor: Monitor = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Look back from here instead of now.")] = None,
) -> None:
    """Run every query over the fit window and print its result, the problems found in it, and their fixes.

    Nothing is fit, scored, stored or sent. Exit code 0: all is well; 1: a query failed; 3: there is something to fix.

    Example: tsdiff-monitor check sources monitor.yml
    """
    from tsdiff_monitor.cli.sources import check_sources

    raise typer.Exit(check_sources(file, monitor, now))


@app.command("schema")
def schema_command(
    output: Annotated[Path | None, typer.Option(metavar="PATH", help="Write to this file instead of stdout.")] = None,
) -> None:
    """Print the JSON Schema of configuration files, for completion and checks in editors.

    Example: tsdiff-monitor check schema --output config.schema.json
    """

    from tsdiff_monitor.config.schema import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{output}: the schema cannot be written: {error.strerror}", err=True)
        raise typer.Exit(EXIT_ERROR) from None


def _contents(config: Config) -> str:
    parts = {
        "monitor": config.monitors,
        "reader": config.readers,
        "model": config.models,
        "scheduler": config.schedulers,
        "notifier": config.notifiers,
        "writer": config.writers,
    }
    return ", ".join(_count(len(entries), noun) for noun, entries in parts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
