"""Every point is asked for once, in requests of bounded size, and each value stands for the rows it is meant for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_connectors.prometheus.ranges import Range, Schedule, schedule
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest

START = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")
DAY = pd.Timedelta("1D")


def request(start: pd.Timestamp, end: pd.Timestamp, step: pd.Timedelta = MINUTE) -> ReadRequest:
    """A request of no particular query."""
    return ReadRequest((), start, end, step)


def asked(ranges: list[Range]) -> list[int]:
    """All points of these requests, in seconds."""
    return [at // 1000 for one in ranges for at in range(one.start, one.end + 1, one.step)]


def answered(points: Schedule) -> dict[pd.Timestamp, float]:
    """The content of each row when the source answers every point with its own time in seconds."""
    times = points.times - points.offset
    rows, values, lengths = points.rows(times, times / 1000, np.array([len(times)]))
    assert lengths.tolist() == [len(rows)]
    assert len(set(rows.tolist())) == len(rows)
    return {pd.Timestamp(row, unit="ms", tz="UTC"): value for row, value in zip(rows, values, strict=True)}


def seconds(time: str) -> float:
    """Unix seconds of a time with its zone."""
    return pd.Timestamp(time).timestamp()


@settings(max_examples=300, deadline=None)
@given(
    st.integers(-3_000, 3_000),
    st.integers(0, 500),
    st.sampled_from([1, 7, 15, 60]),
    st.integers(1, 6),
    st.integers(0, 200),
    st.integers(1, 40),
)
def test_no_row_is_lost_or_doubled_at_the_seams(
    first: int, rows: int, step: int, coarser: int, offset: int, most: int
) -> None:
    """For any span, step, offset and limit: the rows together hold each grid time once, with the value due there."""
    start = START + pd.Timedelta(first, "s")
    span = request(start, start + pd.Timedelta(rows * step + first % step, "s"), pd.Timedelta(step, "s"))
    query = Query("q", "q", pd.Timedelta(step * coarser, "s"), pd.Timedelta(offset, "s"))
    points = schedule(query, span)
    ranges = list(points.ranges(most))
    assert all(one.points <= most for one in ranges)
    assert asked(ranges) == ((points.times - points.offset) // 1000).tolist()
    assert len(ranges) == -(-len(points.times) // most)
    grid = [t for t in range(int(span.start.timestamp()), int(span.end.timestamp())) if t % step == 0]
    due = {pd.Timestamp(t, unit="s", tz="UTC"): t // (step * coarser) * (step * coarser) - offset for t in grid}
    assert answered(points) == due


def test_ends_are_closed_for_the_server_and_open_for_us() -> None:
    """The last point asked for is the last row, never the end of the span itself."""
    ranges = list(schedule(Query("q", "q"), request(START, START + 10 * MINUTE)).ranges(4))
    at = int(START.timestamp() * 1000)
    assert [(one.start - at, one.end - at, one.step) for one in ranges] == [
        (0, 180_000, 60_000),
        (240_000, 420_000, 60_000),
        (480_000, 540_000, 60_000),
    ]
    assert all(one.aligned for one in ranges)


def test_points_off_the_step_are_known_to_be() -> None:
    """An offset that is no multiple of the step moves the points between the marks."""
    ranges = schedule(Query("q", "q", offset=pd.Timedelta("30s")), request(START, START + 3 * MINUTE)).ranges(10)
    assert [one.aligned for one in ranges] == [False]


@pytest.mark.parametrize(
    ("day", "hours"), [("2024-03-30", [24, 23, 24, 24]), ("2024-10-26", [24, 25, 24, 24])], ids=["spring", "autumn"]
)
def test_days_follow_the_local_clock(day: str, hours: list[int]) -> None:
    """Across changes of the clocks a day's value still is that of its local midnight, and holds until the next one."""
    zone = ZoneInfo("Europe/Berlin")
    start, end = pd.Timestamp(day, tz=zone), pd.Timestamp(day, tz=zone) + pd.DateOffset(days=4)
    span = request(start.tz_convert("UTC"), end.tz_convert("UTC"), pd.Timedelta("1h"))
    points = schedule(Query("q", "q", DAY, tz="Europe/Berlin"), span)
    local = pd.DatetimeIndex(points.times, dtype="datetime64[ms, UTC]").tz_convert(zone)
    assert [(time.hour, time.minute) for time in local] == [(0, 0)] * 4
    assert ((np.diff(points.edges)) // 3_600_000).tolist() == hours
    assert len(answered(points)) == sum(hours)
    assert all(
        pd.Timestamp(value, unit="s", tz=zone) == row.tz_convert(zone).normalize()
        for row, value in answered(points).items()
    )
    assert asked(list(points.ranges(100))) == (points.times // 1000).tolist()


def test_days_that_begin_at_uneven_times() -> None:
    """A midnight that the clocks skip is the moment the day begins; one that comes twice is the first."""
    beirut = request(pd.Timestamp("2023-03-24T22:00Z"), pd.Timestamp("2023-03-26T22:00Z"), pd.Timedelta("1h"))
    times = schedule(Query("q", "q", DAY, tz="Asia/Beirut"), beirut).times / 1000
    assert seconds("2023-03-26T01:00+03:00") in times
    havana = request(pd.Timestamp("2023-11-04T04:00Z"), pd.Timestamp("2023-11-06T05:00Z"), pd.Timedelta("1h"))
    times = schedule(Query("q", "q", DAY, tz="America/Havana"), havana).times / 1000
    assert seconds("2023-11-05T00:00-04:00") in times
    assert seconds("2023-11-05T00:00-05:00") not in times


def test_daily_rows_in_a_time_zone() -> None:
    """If the rows are days themselves, each holds the value of the local midnight before it."""
    span = request(pd.Timestamp("2024-03-29T00:00Z"), pd.Timestamp("2024-04-02T00:00Z"), DAY)
    found = answered(schedule(Query("q", "q", tz="Europe/Berlin"), span))
    assert found == {
        pd.Timestamp("2024-03-29T00:00Z"): seconds("2024-03-29T00:00+01:00"),
        pd.Timestamp("2024-03-30T00:00Z"): seconds("2024-03-30T00:00+01:00"),
        pd.Timestamp("2024-03-31T00:00Z"): seconds("2024-03-31T00:00+01:00"),
        pd.Timestamp("2024-04-01T00:00Z"): seconds("2024-04-01T00:00+02:00"),
    }


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"]),
    st.integers(0, 800),
    st.integers(1, 40),
    st.integers(1, 7),
    st.integers(1, 10),
)
def test_weeks_and_months_of_local_days_are_whole(zone: str, first: int, days: int, coarser: int, most: int) -> None:
    """In any zone, over any change of the clocks: every row holds the last local midnight that counts before it."""
    start = pd.Timestamp("2011-11-01T00:00Z") + first * DAY
    span = request(start, start + days * DAY, pd.Timedelta("6h"))
    points = schedule(Query("q", "q", coarser * DAY, tz=zone), span)
    assert asked(list(points.ranges(most))) == (points.times // 1000).tolist()
    found = answered(points)
    assert len(found) == days * 4
    for row, value in found.items():
        local = pd.Timestamp(value, unit="s", tz=zone)
        assert local <= row < local + (coarser + 1) * DAY
        assert local == local.normalize()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Query("cpu", "q", step=pd.Timedelta("90s")), "no multiple of the request's"),
        (Query("cpu", "q", tz="Europe/Berlin"), "whole days"),
        (Query("cpu", "q", offset=pd.Timedelta("1us")), "whole milliseconds"),
    ],
)
def test_what_the_api_cannot_express_is_refused(query: Query, words: str) -> None:
    """The error names the query and what is wrong with it."""
    with pytest.raises(SourceError, match=words) as caught:
        schedule(query, request(START, START + DAY))
    assert "'cpu'" in str(caught.value)
    assert caught.value.reason == "bad_request"


@pytest.mark.parametrize("moved", [-1_000, 30_000, 10 * 60_000])
def test_samples_at_other_times_are_noticed(moved: int) -> None:
    """A server that moves the points of a range does not pass for one that answered it."""
    points = schedule(Query("q", "q"), request(START, START + 10 * MINUTE))
    with pytest.raises(ValueError, match="other times"):
        points.rows(points.times + moved, points.times * 1.0, np.array([10]))
