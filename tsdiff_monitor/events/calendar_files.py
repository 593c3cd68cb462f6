"""iCalendar files (RFC 5545, by icalendar) in memory, so that one that cannot be read for a while changes nothing."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tsdiff_monitor.errors import DataError

__all__ = ["CalendarFiles"]

_Stamp = tuple[int, int, int]


class CalendarFiles:
    """The last good content of each file. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[_Stamp | None, Any]] = {}

    def refresh(self, path: Path) -> DataError | None:
        """Read the file if it has changed; gives what is wrong with it, and keeps its last content then."""
        with self._lock:
            stamp, calendar = self._kept.setdefault(path, (None, None))
            try:
                status = path.stat()
                newest = (status.st_mtime_ns, status.st_size, status.st_ino)
                if newest != stamp:
                    self._kept[path] = (newest, _parsed(path.read_bytes()))
            except OSError as error:
                return _failure(
                    path, f"the calendar cannot be read ({error.strerror or error})", calendar, "correct `ics`"
                )
            except Exception as error:  # the parser raises many kinds on garbled text
                return _failure(path, f"is no iCalendar file ({str(error)[:200]})", calendar, "export it again")
        return None

    def get(self, path: Path) -> Any | None:
        """The calendar as it was last read; a file not asked for before is read. None: it could never be read."""
        if path not in self._kept:
            self.refresh(path)
        return self._kept[path][1]


def _parsed(content: bytes) -> Any:
    import recurring_ical_events
    from icalendar import Calendar

    calendar = Calendar.from_ical(content)
    # Bad repetitions show only when they are worked out: now, rather than when an event is to be sent.
    recurring_ical_events.of(calendar).between(datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=1))
    return calendar


def _failure(path: Path, wrong: str, calendar: Any | None, remedy: str) -> DataError:
    use = "until it can be used it counts as empty" if calendar is None else "its last content stays in use"
    return DataError(f"{path}: {wrong}; {use}; {remedy}")
