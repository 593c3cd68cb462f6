"""The times at which jobs fire."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.daemon.triggers import DailyTrigger, GridTrigger

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_grid_counts_from_the_epoch() -> None:
    """A restart keeps the rhythm: full minutes plus the offset, whenever the process began."""
    trigger = GridTrigger(timedelta(minutes=5), timedelta(seconds=30))
    assert trigger.get_next_fire_time(None, utc("2024-05-01T10:02:11")) == utc("2024-05-01T10:05:30")
    assert trigger.get_next_fire_time(None, utc("2024-05-01T10:05:30")) == utc("2024-05-01T10:05:30")


def test_an_offset_beyond_the_interval_keeps_the_rhythm() -> None:
    """An offset of 90s shifts a minutely grid by 30s: no run is lost to it."""
    trigger = GridTrigger(timedelta(minutes=1), timedelta(seconds=90))
    assert trigger.get_next_fire_time(None, utc("2024-05-01T10:00:00")) == utc("2024-05-01T10:00:30")


def test_missed_times_are_passed_over() -> None:
    """After a pause of the machine there is one run, and the next one is on the grid again."""
    trigger = GridTrigger(timedelta(minutes=1))
    before, now = utc("2024-05-01T10:00:00"), utc("2024-05-03T08:00:10")
    assert trigger.get_next_fire_time(before, now) == utc("2024-05-03T08:01:00")


@given(
    every=st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=30)),
    offset=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)),
    now=st.integers(0, 2**32 * 10**6).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)),
)
def test_the_next_time_is_near_and_never_the_same(every: timedelta, offset: timedelta, now: datetime) -> None:
    """For any interval, the next time is less than one interval away, and strictly after the previous one."""
    trigger = GridTrigger(every, offset)
    first = trigger.get_next_fire_time(None, now)
    assert now <= first < now + every
    assert trigger.get_next_fire_time(first, now) == first + every


def test_a_time_of_day_is_meant_in_its_zone() -> None:
    """03:00 in Berlin is 01:00 UTC in summer and 02:00 UTC in winter."""
    trigger = DailyTrigger(time(3), BERLIN)
    assert trigger.get_next_fire_time(None, utc("2024-07-01T02:00:00")) == utc("2024-07-02T01:00:00")
    assert trigger.get_next_fire_time(None, utc("2024-12-01T00:00:00")) == utc("2024-12-01T02:00:00")


@pytest.mark.parametrize("changeover", ["2024-03-30", "2024-10-26"])
def test_a_change_of_the_clocks_neither_skips_nor_doubles_a_day(changeover: str) -> None:
    """02:30, which one night lacks and another has twice, fires once on every day."""
    trigger = DailyTrigger(time(2, 30), BERLIN)
    fired = [trigger.get_next_fire_time(None, utc(f"{changeover}T00:00:00"))]
    for _ in range(3):
        fired.append(trigger.get_next_fire_time(fired[-1], fired[-1]))
    days = [moment.astimezone(BERLIN).date() for moment in fired]
    assert [day.toordinal() - days[0].toordinal() for day in days] == [0, 1, 2, 3]


def test_every_seventh_day() -> None:
    """With an interval of a week, the time of day comes once a week."""
    trigger = DailyTrigger(time(3), ZoneInfo("UTC"), days=7)
    first = trigger.get_next_fire_time(None, utc("2024-05-01T10:00:00"))
    assert first - utc("2024-05-01T10:00:00") <= timedelta(days=7)
    assert first.hour == 3
    assert trigger.get_next_fire_time(first, first) == first + timedelta(days=7)
