"""Times at which a monitor is to send nothing, or not to score at all: maintenance, backups, holidays.

Recurring ones are cron expressions with a length (https://man7.org/linux/man-pages/man5/crontab.5.html, by croniter) or
the events of an iCalendar file (RFC 5545, by icalendar and recurring-ical-events); single ones have a start and an end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, Field, field_validator, model_validator

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.events.calendar_files import CalendarFiles
from tsdiff_monitor.settings.fields import PositiveDuration, TimeZone
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.extras import missing_package
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["CalendarEntry", "Effect", "covered", "read_calendars"]

Effect = Literal["quiet", "exclude"]

_files = CalendarFiles()


class CalendarEntry(StrictModel):
    """A time of the calendar: `cron` with `lasts`, an `ics` file, or `start` and `end`."""

    effect: Effect = "quiet"
    """`quiet`: events are kept, but not sent meanwhile. `exclude`: rows are not scored at all.
    Either way nothing is learned from the rows."""
    cron: str | None = None
    """Repeated beginnings: `minute hour day month weekday`, like `0 2 * * sun`."""
    lasts: PositiveDuration | None = None
    """Duration after each beginning of `cron`."""
    ics: Path | None = None
    """iCalendar file whose events, recurring ones too, are the times; read again when it changes."""
    start: AwareDatetime | None = None
    """Beginning, once: a time with its zone, like `2026-12-01T08:00:00Z`."""
    end: AwareDatetime | None = None
    """End of a time that begins at `start`."""
    tz: TimeZone = "UTC"
    """Time zone in which `cron` is meant, and days and times of `ics` that have none."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Only groups with these labels; values may be globs (`db-*`)."""

    @field_validator("cron")
    @classmethod
    def _known_cron(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        if missing := missing_package("`cron` of a calendar", "croniter"):
            raise ValueError(missing)
        from croniter import croniter

        if len(cron.split()) != 5 or not croniter.is_valid(cron):
            raise ValueError(f"{cron!r} is no cron expression; write minute hour day month weekday, like 0 2 * * sun")
        return cron

    @field_validator("ics")
    @classmethod
    def _readable_ics(cls, ics: Path | None) -> Path | None:
        if ics is not None and (
            missing := missing_package("`ics` of a calendar", "icalendar", "recurring_ical_events")
        ):
            raise ValueError(missing)
        return ics

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [self.cron is not None, self.ics is not None, self.start is not None or self.end is not None]
        if sum(kinds) != 1:
            raise ValueError(
                "gives its times in no way or in several; give `cron` and `lasts`, or `ics`, or `start` and `end`"
            )
        if (self.cron is None) != (self.lasts is None):
            raise ValueError("`cron` and `lasts` belong together; give both")
        if (self.start is None) != (self.end is None):
            raise ValueError("`start` and `end` belong together; give both")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("`end` is not after `start`; swap them")
        return self

    def concerns(self, group: Group) -> bool:
        """True if the group has the labels."""
        known = dict(group)
        return all(label in known and fnmatchcase(known[label], glob) for label, glob in self.labels.items())

    def spans(self, first: pd.Timestamp, last: pd.Timestamp) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
        """The times that touch ``first <= t <= last``; the ends are exclusive."""
        if self.cron is not None and self.lasts is not None:
            yield from _cron_spans(self.cron, self.lasts, ZoneInfo(self.tz), first, last)
        elif self.ics is not None:
            yield from _ics_spans(self.ics, self.tz, first, last)
        elif self.start is not None and self.end is not None:
            yield _utc(self.start), _utc(self.end)


def read_calendars(entries: Iterable[CalendarEntry]) -> dict[Path, DataError]:
    """Read the files of the entries that have changed; gives those that cannot be used, with the reason.

    To be called before :func:`covered`, which goes by what is in memory: the last content of a file stays in use while
    it cannot be read, and one that could never be read counts as empty: an alert too many is better than silence.
    """
    paths = dict.fromkeys(entry.ics for entry in entries if entry.ics is not None)
    return {path: error for path in paths if (error := _files.refresh(path)) is not None}


def covered(entries: Iterable[CalendarEntry], group: Group, times: pd.DatetimeIndex, *effects: Effect) -> np.ndarray:
    """Boolean ``[T]``: which of the ascending ``times`` an entry with one of the ``effects`` covers for the group."""
    out = np.zeros(len(times), dtype=bool)
    if not len(times):
        return out
    for entry in entries:
        if entry.effect in effects and entry.concerns(group):
            for start, end in entry.spans(times[0], times[-1]):
                out[times.searchsorted(start) : times.searchsorted(end)] = True
    return out


def _cron_spans(
    cron: str, lasts: timedelta, zone: ZoneInfo, first: pd.Timestamp, last: pd.Timestamp
) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    from croniter import croniter

    before = (first - lasts).to_pydatetime().astimezone(zone) - timedelta(minutes=1)
    beginnings = croniter(cron, before, ret_type=datetime)
    while (start := _utc(beginnings.get_next())) <= last:
        yield start, start + lasts


def _ics_spans(
    path: Path, tz: str, first: pd.Timestamp, last: pd.Timestamp
) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    import recurring_ical_events

    calendar = _files.get(path)
    if calendar is None:
        return
    zone = ZoneInfo(tz)
    # A day more at both ends: days without a zone are meant in ours.
    day = timedelta(days=1)
    between = (first.to_pydatetime() - day, last.to_pydatetime() + day)
    occurrences: list[Any] = list(recurring_ical_events.of(calendar).between(*between))
    for event in occurrences:
        start = event["DTSTART"].dt
        end = event["DTEND"].dt if "DTEND" in event else start + (event["DURATION"].dt if "DURATION" in event else day)
        yield _moment(start, zone), _moment(end, zone)


def _moment(at: date, zone: ZoneInfo) -> pd.Timestamp:
    """A time of a calendar; whole days begin at midnight in ``zone``, where times without a zone are meant too."""
    moment = at if isinstance(at, datetime) else datetime.combine(at, time.min)
    return _utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def _utc(moment: datetime) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_convert("UTC").as_unit("ns")
