"""Quiet times of a monitor: cron, iCalendar files and single spans, across changes of summer time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from tsdiff_monitor.events.calendars import CalendarEntry, covered, read_calendars
from tsdiff_monitor.timeseries.frame import Group

WEB: Group = (("instance", "web-1"),)
ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//EN
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261225
DTEND;VALUE=DATE:20261227
SUMMARY:Holidays
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;TZID=Europe/Berlin:20261001T020000
DURATION:PT1H
RRULE:FREQ=WEEKLY;BYDAY=TH
EXDATE;TZID=Europe/Berlin:20261008T020000
END:VEVENT
END:VCALENDAR
"""


def entry(**keys: Any) -> CalendarEntry:
    return CalendarEntry.model_validate(keys)


def spans(one: CalendarEntry, first: str, last: str) -> list[tuple[str, str]]:
    """Covered spans at a resolution of ten minutes, the ends exclusive."""
    times = pd.date_range(first, last, freq="10min", tz="UTC")
    inside = pd.Series(covered([one], WEB, times, "quiet"), index=times)
    starts = times[inside & ~inside.shift(fill_value=False)]
    ends = times[~inside & inside.shift(fill_value=False)]
    return [(f"{a:%m-%d %H:%M}", f"{b:%m-%d %H:%M}") for a, b in zip(starts, ends, strict=True)]


def test_cron_in_local_time() -> None:
    """02:00 in Berlin is 00:00 UTC in summer and 01:00 in winter; a beginning before the span still covers its rows."""
    nightly = entry(cron="0 2 * * *", lasts="1h", tz="Europe/Berlin")
    assert spans(nightly, "2026-10-23", "2026-10-23 12:00") == [("10-23 00:00", "10-23 01:00")]
    assert spans(nightly, "2026-10-27", "2026-10-27 12:00") == [("10-27 01:00", "10-27 02:00")]
    times = pd.date_range("2026-10-27 01:30", periods=6, freq="10min", tz="UTC")
    assert covered([nightly], WEB, times, "quiet").tolist() == [True] * 3 + [False] * 3


def test_one_span() -> None:
    """The start is covered, the end is not."""
    once = entry(start="2026-12-01T08:00:00Z", end="2026-12-01T10:00:00+01:00")
    assert spans(once, "2026-12-01", "2026-12-02") == [("12-01 08:00", "12-01 09:00")]


def test_an_icalendar_file(tmp_path: Path) -> None:
    """Whole days begin at midnight in the entry's zone; repetitions follow their own, and exceptions are left out."""
    path = tmp_path / "team.ics"
    path.write_text(ICS)
    team = entry(ics=str(path), tz="America/New_York")
    assert spans(team, "2026-12-24 12:00", "2026-12-28") == [("12-25 05:00", "12-27 05:00")]
    assert spans(team, "2026-10-01", "2026-10-20") == [("10-01 00:00", "10-01 01:00"), ("10-15 00:00", "10-15 01:00")]


CUT = ICS[: len(ICS) // 2]
BAD_RULE = ICS.replace("FREQ=WEEKLY", "FREQ=NEVERLY")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the calendar cannot be read"),
        ("", "is no iCalendar file"),
        ("BEGIN:VEVENT\nnonsense", "is no iCalendar file"),
        (CUT, "is no iCalendar file"),
        (BAD_RULE, "is no iCalendar file"),
    ],
)
def test_a_calendar_that_never_could_be_used_counts_as_empty(tmp_path: Path, content: str | None, said: str) -> None:
    """Missing and garbled files are reported by name and cover nothing."""
    path = tmp_path / "team.ics"
    if content is not None:
        path.write_text(content)
    one = entry(ics=str(path))
    ((named, error),) = read_calendars([one, one]).items()
    assert named == path
    assert f"{path}: {said}" in str(error) and "it counts as empty" in str(error)
    assert spans(one, "2026-12-24 12:00", "2026-12-28") == []


@pytest.mark.parametrize("content", [None, "", CUT, BAD_RULE])
def test_the_last_content_stays_in_use(tmp_path: Path, content: str | None) -> None:
    """A file that goes away or is spoilt changes nothing; when it is whole again, its new content counts."""
    path = tmp_path / "team.ics"
    path.write_text(ICS)
    one = entry(ics=str(path))
    days = ("2026-12-24 12:00", "2026-12-30")
    assert read_calendars([one]) == {}
    assert spans(one, *days) == [("12-25 00:00", "12-27 00:00")]
    path.unlink()
    if content is not None:
        path.write_text(content)
    for _ in range(2):
        assert "its last content stays in use" in str(read_calendars([one])[path])
        assert spans(one, *days) == [("12-25 00:00", "12-27 00:00")]
    path.write_text(ICS.replace("20261227", "20261228"))
    assert read_calendars([one]) == {}
    assert spans(one, *days) == [("12-25 00:00", "12-28 00:00")]


def test_labels_and_effects() -> None:
    """An entry covers the groups with its labels, globs allowed, for the effect that is asked about."""
    times = pd.date_range("2026-12-01", periods=1, freq="1h", tz="UTC")
    whole = {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}
    for labels, expected in (
        ({}, True),
        ({"instance": "web-*"}, True),
        ({"instance": "db-*"}, False),
        ({"x": "*"}, False),
    ):
        assert covered([entry(**whole, labels=labels)], WEB, times, "quiet")[0] == expected
    assert not covered([entry(**whole)], WEB, times, "exclude")[0]
    assert covered([entry(**whole, effect="exclude")], WEB, times, "quiet", "exclude")[0]
    assert covered([entry(**whole)], WEB, times[:0], "quiet").shape == (0,)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "in no way or in several"),
        ({"cron": "0 2 * * *", "lasts": "1h", "ics": "a.ics"}, "in no way or in several"),
        ({"cron": "0 2 * * *"}, "`cron` and `lasts` belong together"),
        ({"cron": "0 25 * * *", "lasts": "1h"}, "no cron expression"),
        ({"cron": "@daily", "lasts": "1h"}, "no cron expression"),
        ({"start": "2026-12-01T08:00:00Z"}, "`start` and `end` belong together"),
        ({"start": "2026-12-01T08:00:00Z", "end": "2026-12-01T08:00:00Z"}, "`end` is not after `start`"),
        ({"start": "2026-12-01T08:00:00", "end": "2026-12-02T08:00:00"}, "timezone"),
    ],
)
def test_mistakes(keys: dict[str, str], said: str) -> None:
    """Each is refused with what to write instead."""
    with pytest.raises(ValidationError, match=said):
        entry(**keys)
