"""Log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
import structlog

from tsdiff_monitor.system.logging import LogFormat, LogLevel, configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is global: put it back."""
    root, apscheduler = logging.getLogger(), logging.getLogger("apscheduler")
    handlers, level, of_apscheduler = root.handlers[:], root.level, apscheduler.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    apscheduler.setLevel(of_apscheduler)
    structlog.reset_defaults()


Lines = Callable[..., list[str]]


def written(level: LogLevel, style: LogFormat) -> list[str]:
    stream = io.StringIO()
    configure_logging(level, style, stream=stream)
    log = structlog.get_logger()
    log.debug("detail")
    log.info("event opened", group="a=b c", note='say "x"\nand more')
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.example/hunter2")
    logging.getLogger("httpx").warning("slow")
    return stream.getvalue().splitlines()


def test_logfmt_lines_stay_lines() -> None:
    """One entry is one line, no matter what is in its values; time, level and message come first, in UTC."""
    first, second = written(LogLevel.info, LogFormat.logfmt)
    assert first.startswith("ts=20")
    assert 'Z level=info msg="event opened" group="a=b c" note="say \\"x\\"\\nand more"' in first
    assert "level=warning msg=slow" in second


def test_json_lines_are_json() -> None:
    """Every line parses, and holds the same keys as in logfmt."""
    entry, _ = (json.loads(line) for line in written(LogLevel.info, LogFormat.json))
    assert (entry["level"], entry["msg"], entry["group"]) == ("info", "event opened", "a=b c")
    assert datetime.fromisoformat(entry["ts"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warn", 1), ("error", 0)])
def test_the_level_decides(level: str, count: int) -> None:
    """Anything that is less important than the level is not printed."""
    assert len(written(LogLevel(level), LogFormat.logfmt)) == count


def test_libraries_cannot_print_secrets_below_warnings() -> None:
    """At the debug level too, HTTP clients' own lines, which hold whole addresses, are left out."""
    assert "hunter2" not in "".join(written(LogLevel.debug, LogFormat.logfmt))
