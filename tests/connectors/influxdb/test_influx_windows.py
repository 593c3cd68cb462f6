"""Which time is asked for, and on which rows the answer stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_connectors.influxdb.windows import WindowPlan, make_plan
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest

MINUTE = pd.Timedelta("1min")
HOUR = pd.Timestamp("2024-05-01T03:00:00Z")


def plan(
    start: str = "03:00", end: str = "03:10", now: str = "04:00", before: int = 0, lookback: int = 0, **options: Any
) -> WindowPlan:
    """The plan of a query on a grid of a minute."""
    first, last, clock = (pd.Timestamp(f"2024-05-01T{time}Z") for time in (start, end, now))
    request = ReadRequest((query := Query("q", "m.f", **options),), first, last, MINUTE)
    return make_plan(query, request, now_ns=clock.as_unit("ns").value, source="here", before=before, lookback=lookback)


def spans(made: WindowPlan) -> list[tuple[str, str]]:
    """The spans as times of day."""
    return [tuple(pd.Timestamp(ns).strftime("%H:%M:%S") for ns in span) for span in made.spans]  # type: ignore[misc]


def ns(*times: str) -> np.ndarray:
    """Times of the day in nanoseconds."""
    return np.array([pd.Timestamp(f"2024-05-01T{time}Z").as_unit("ns").value for time in times], dtype=np.int64)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("03:00:00", "03:10:00")]),
        ({"start": "02:59:30", "end": "03:09:30"}, [("03:00:00", "03:10:00")]),
        ({"now": "03:09:59"}, [("03:00:00", "03:09:00")]),
        ({"now": "03:00:30"}, []),
        ({"before": 1}, [("02:59:00", "03:10:00")]),
        ({"max_points_per_query": 4}, [("03:00:00", "03:04:00"), ("03:04:00", "03:08:00"), ("03:08:00", "03:10:00")]),
        ({"offset": pd.Timedelta("5min")}, [("02:55:00", "03:05:00")]),
        ({"offset": pd.Timedelta("90s")}, [("02:58:00", "03:09:00")]),
        ({"step": pd.Timedelta("5min")}, [("02:55:00", "03:05:00")]),
        ({"step": pd.Timedelta("5min"), "start": "03:04", "end": "03:05"}, [("02:55:00", "03:00:00")]),
        ({"step": pd.Timedelta("5min"), "now": "03:07"}, [("02:55:00", "03:05:00")]),
        ({"end": "03:00"}, []),
    ],
)
def test_only_whole_windows_are_asked_for(options: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Borders are borders of windows, every row's window is in, and none is still going on."""
    assert spans(plan(**options)) == expected


def test_a_look_back_is_asked_for_and_not_kept() -> None:
    """Each part of the span gets the windows before it as well."""
    made = plan(max_points_per_query=5, lookback=2)
    asked = [made.asked(span) for span in made.spans]
    assert [pd.Timestamp(start).strftime("%H:%M") for start, _ in asked] == ["02:58", "03:03"]
    assert spans(made) == [("03:00:00", "03:05:00"), ("03:05:00", "03:10:00")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": pd.Timedelta("90s")}, "multiple of the monitor's"),
        ({"tz": "Europe/Berlin"}, "for a step of one day"),
        ({"step": pd.Timedelta("7D"), "tz": "Europe/Berlin"}, "for a step of one day"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    """With the query's name and the key to fix."""
    with pytest.raises(SourceError, match=rf"query 'q'.*{message}") as caught:
        plan(**options)
    assert (caught.value.reason, caught.value.recoverable) == ("bad_request", False)


def test_a_coarse_value_is_held_until_the_next() -> None:
    """A row holds the last window that was over when it began; where that one is empty, nothing."""
    made = plan("03:00", "03:15", step=pd.Timedelta("5min"))
    times, values = made.placed(ns("02:55", "02:59:59", "03:06"), np.array([1.0, 2.0, 3.0]))
    assert [pd.Timestamp(t).minute for t in times] == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert values.tolist() == [2.0] * 5 + [3.0] * 5


def test_an_offset_moves_values_forward() -> None:
    """The row at t holds the source's value at t - offset, with a coarser step too."""
    offset = pd.Timedelta("2min")
    assert plan(offset=offset).placed(ns("03:00"), np.ones(1))[0].tolist() == ns("03:02").tolist()
    times, _ = plan(step=pd.Timedelta("5min"), offset=offset).placed(ns("02:55"), np.ones(1))
    assert times.tolist() == ns("03:02", "03:03", "03:04", "03:05", "03:06").tolist()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", 23),
        ("Europe/Berlin", "2024-10-27", 25),
        ("Africa/Cairo", "2024-04-26", 23),  # there is no midnight: the day begins at one
        ("America/Havana", "2024-11-03", 25),
        ("Asia/Kolkata", "2024-03-31", 24),
    ],
)
def test_days_are_as_long_as_they_are(zone: str, day: str, hours: int) -> None:
    """A local day begins at its midnight, or when it first is that day, and may last 23 to 25 hours."""
    noon = pd.Timestamp(f"{day} 12:00", tz=zone)
    request = ReadRequest((), noon.tz_convert("UTC"), noon.tz_convert("UTC") + MINUTE, MINUTE)
    query = Query("q", "m.f", step=pd.Timedelta("1D"), tz=zone)
    made = make_plan(query, request, now_ns=noon.value * 2, source="here")
    start = made.floor(np.array([noon.as_unit("ns").value]))
    assert str(pd.Timestamp(start[0], tz="UTC").tz_convert(zone).date()) == day
    assert (made.after(start) - start)[0] == hours * 3600 * 10**9
    before = start - 1
    assert made.after(made.floor(before)).tolist() == start.tolist()
