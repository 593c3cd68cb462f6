"""Logging: structlog on stderr, one line per entry, as logfmt or JSON, with times in UTC.

https://www.structlog.org/en/stable/processors.html. Libraries log through the same lines, but only from warnings up:
below that, HTTP clients print addresses and headers, which may hold secrets.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import Processor

__all__ = ["LogFormat", "LogLevel", "configure_logging"]

_ORDER = ("ts", "level", "msg")


class LogLevel(StrEnum):
    """The least important entries to print."""

    debug = "debug"
    info = "info"
    warn = "warn"
    error = "error"


class LogFormat(StrEnum):
    """The format of an entry."""

    logfmt = "logfmt"
    json = "json"


_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.INFO,
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
}


def configure_logging(
    level: LogLevel = LogLevel.info, style: LogFormat = LogFormat.logfmt, *, stream: TextIO | None = None
) -> None:
    """Set up logging for the whole process; ``stream`` is stderr when left out."""
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(default=str)
        if style is LogFormat.json
        else structlog.processors.LogfmtRenderer(key_order=_ORDER, bool_as_flag=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    # The daemon's own listeners report what APScheduler would, without the texts of exceptions.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    logging.captureWarnings(True)
