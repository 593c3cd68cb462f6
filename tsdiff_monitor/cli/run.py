"""``tsdiff-monitor run``: the daemon."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.options import ConfigFile, DaemonStorage
from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.system.logging import LogFormat, LogLevel, configure_logging

if TYPE_CHECKING:
    from tsdiff_monitor.config.loader import Config

__all__ = ["command"]


def command(
    config_file: ConfigFile,
    storage_path: DaemonStorage = None,
    listen_address: Annotated[
        str | None,
        typer.Option("--web.listen-address", metavar="HOST:PORT", help="Where to listen; replaces the file's setting."),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option("--log.level", help="The least important log entries to print.")
    ] = LogLevel.info,
    log_format: Annotated[
        LogFormat, typer.Option("--log.format", help="How log entries are written, on stderr.")
    ] = LogFormat.logfmt,
) -> None:
    """Watch the monitors of a configuration until stopped by SIGTERM or Ctrl-C.

    Exit code 0: stopped on request; 1: it could not start. A second signal ends it at once.

    Example: tsdiff-monitor run --config.file monitor.yml --web.listen-address 0.0.0.0:8490
    """
    from tsdiff_monitor.config.loader import load_config

    config = _overridden(load_config(config_file), storage_path, listen_address)
    configure_logging(log_level, log_format)
    if not _run(config):
        # The interpreter would wait for the threads that hang; all that matters is in the store by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _run(config: Config) -> bool:
    from tsdiff_monitor.daemon.process import StopSignals, run_daemon  # torch takes seconds to load

    with StopSignals() as signals:
        return run_daemon(config, signals)


def _overridden(config: Config, storage_path: Path | None, listen_address: str | None) -> Config:
    from pydantic import ValidationError

    from tsdiff_monitor.config.problems import validation_problems
    from tsdiff_monitor.config.settings import WebSettings

    settings = config.settings
    if storage_path is not None:
        settings = settings.model_copy(update={"storage_path": storage_path})
    if listen_address is not None:
        raw = {"listen_address": listen_address}
        try:
            WebSettings.model_validate(raw)
        except ValidationError as error:
            found = validation_problems(error, WebSettings, raw)
            problems = [ConfigProblem("--web.listen-address", one.problem, one.remedy) for one in found]
            raise ConfigError("command line", problems) from None
        settings = settings.model_copy(update={"web": settings.web.model_copy(update=raw)})
    return replace(config, settings=settings)
