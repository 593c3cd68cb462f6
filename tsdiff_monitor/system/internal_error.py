"""Reports of unexpected exceptions: a bug of ours or of a plug-in must neither spread nor print what it knows."""

from __future__ import annotations

import traceback
from typing import Any

import structlog

from tsdiff_monitor.errors import TsdiffError

__all__ = ["internal_error", "known_error"]

_log = structlog.get_logger(__name__)


def known_error(error: BaseException, **where: Any) -> TsdiffError:
    """``error`` itself where users may read it, else an :func:`internal_error` of it."""
    return error if isinstance(error, TsdiffError) else internal_error(error, **where)


def internal_error(error: BaseException, **where: Any) -> TsdiffError:
    """A report of ``error``: its kind and its place, but not its text, which may hold a secret.

    The entry in the log also has ``where`` (the monitor, the group).
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{place.filename}:{place.lineno}"
    _log.error("unexpected error", type=type(error).__name__, at=at, **where)
    return TsdiffError(f"unexpected {type(error).__name__} at {at}; please report it")
