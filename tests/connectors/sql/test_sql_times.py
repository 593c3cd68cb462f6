"""Time columns of every kind that databases keep: an event lands in the interval of its instant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from tests.connectors.sql.sql_events import DATABASES, HOUR, MINUTE, Store, new_store, only, request, seconds
from tsdiff_connectors.sql.local_times import utc_microseconds
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest

FEATURES = {"n": "count", "since": "seconds_since_last"}
INSTANTS = (0.0, 59.5, 60.0, 179.999, 300.0)  # seconds after HOUR: the last is beyond the request
COUNTS = [2, 1, 1, 0, 0]
SINCE = [0.5, 60.0, 0.001, 60.001, 120.001]


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(request.param, request, tmp_path) as found:
        yield found


def check(store: Store, kind: Any, values: list[Any], **config: Any) -> None:
    """The events at these times are counted where :data:`INSTANTS` lie."""
    store.make({"t": kind}, [{"t": value} for value in values])
    frame = only(store.reader(**config).read(request(5, **FEATURES)).frames)
    np.testing.assert_array_equal(frame.values[:, 0], COUNTS)
    np.testing.assert_allclose(frame.values[:, 1], SINCE, atol=2e-3)


@pytest.mark.parametrize(("unit", "scale"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_whole_numbers_of_any_unit(store: Store, unit: str, scale: float) -> None:
    """The unit of numbers follows from their size, or is given by the user."""
    values = [int(seconds(0) * scale + after * scale) for after in INSTANTS]
    check(store, sa.BigInteger, values)
    frame = only(store.reader(time_unit=unit).read(request(5, n="count")).frames)
    np.testing.assert_array_equal(frame.values[:, 0], COUNTS)


@pytest.mark.parametrize("kind", [sa.Double, sa.Numeric(20, 6)])
def test_seconds_with_fractions(store: Store, kind: Any) -> None:
    """Floating point and decimal seconds fall where they belong."""
    check(store, kind, [seconds(0) + after for after in INSTANTS])


def test_a_unit_that_is_wrong_finds_nothing(store: Store) -> None:
    """The user's word counts, not the size: seconds read as milliseconds lie in 1970."""
    store.make({"t": sa.BigInteger}, [{"t": seconds(1)}])
    assert not store.reader(time_unit="ms").read(request(5, n="count")).frames


def test_steps_shorter_than_the_unit(store: Store) -> None:
    """Seconds on a grid of half seconds fall into the half that begins with them."""
    store.make({"t": sa.BigInteger}, [{"t": seconds(0)}, {"t": seconds(0) + 1}])
    asked = ReadRequest((Query("n", "count"),), HOUR, HOUR + pd.Timedelta("2s"), pd.Timedelta("500ms"))
    np.testing.assert_array_equal(only(store.reader().read(asked).frames).values[:, 0], [1, 0, 1, 0])


def test_timestamps_with_a_zone(store: Store) -> None:
    """An instant is an instant, in any zone it was written in; SQLite keeps it as text with an offset."""
    zone = dt.timezone(dt.timedelta(hours=-7))
    times = [HOUR.to_pydatetime().astimezone(zone) + dt.timedelta(seconds=after) for after in INSTANTS]
    if store.is_sqlite:
        check(store, sa.Text, [time.isoformat() for time in times], tz="Asia/Tokyo")
    else:
        check(store, sa.DateTime(timezone=True), times, tz="Asia/Tokyo")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_timestamps_without_a_zone(store: Store, zone: str) -> None:
    """They are local times of the configured `tz`, even of those farthest from UTC."""
    start = HOUR.tz_convert(zone).tz_localize(None).to_pydatetime()
    check(store, sa.DateTime(), [start + dt.timedelta(seconds=after) for after in INSTANTS], tz=zone)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f+00:00"])
def test_texts_in_sqlite(tmp_path: Path, request: pytest.FixtureRequest, form: str) -> None:
    """ISO 8601 with a blank or a T, with `Z`, an offset or neither."""
    with new_store("sqlite", request, tmp_path) as store:
        times = [HOUR.to_pydatetime() + dt.timedelta(seconds=after) for after in INSTANTS]
        check(store, sa.Text, [f"{time:{form}}" for time in times])


def test_numbers_in_a_column_declared_otherwise(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """SQLite keeps numbers in a DATETIME column when it is given numbers: the values decide, not the declaration."""
    with new_store("sqlite", request, tmp_path) as store:
        store.run("CREATE TABLE events (t DATETIME)")
        store.run(f"INSERT INTO events VALUES {','.join(f'({seconds(0) + after})' for after in INSTANTS)}")
        frame = only(store.reader().read(globals()["request"](5, n="count")).frames)
        np.testing.assert_array_equal(frame.values[:, 0], COUNTS)


def test_hours_that_clocks_leave_out_or_repeat(store: Store) -> None:
    """Local times around both changes of 2024 in Berlin: no event is lost, and a repeated hour is its second coming."""
    local = [
        "2024-03-31 01:59",
        "2024-03-31 02:30",
        "2024-03-31 03:00",
        "2024-10-27 01:59",
        "2024-10-27 02:30",
        "2024-10-27 03:00",
    ]
    utc = [
        "2024-03-31 00:59",
        "2024-03-31 01:30",
        "2024-03-31 01:00",
        "2024-10-26 23:59",
        "2024-10-27 01:30",
        "2024-10-27 02:00",
    ]
    store.make({"t": sa.DateTime()}, [{"t": dt.datetime.fromisoformat(time)} for time in local])
    for day in ("2024-03-31", "2024-10-27"):
        start = pd.Timestamp(day, tz="UTC") - pd.Timedelta("2h")
        asked = ReadRequest((Query("n", "count"),), start, start + pd.Timedelta("6h"), MINUTE)
        frame = only(store.reader(tz="Europe/Berlin").read(asked).frames)
        found = frame.times[frame.values[:, 0] > 0]
        wanted = sorted(
            pd.Timestamp(time, tz="UTC") for time in utc if start <= pd.Timestamp(time, tz="UTC") < asked.end
        )
        assert list(found) == wanted


def test_local_times_agree_with_postgresql() -> None:
    """The same rule as PostgreSQL's for a time that clocks leave out and one that they repeat; None stays None."""
    assert utc_microseconds("2024-03-31 02:30", "Europe/Berlin") == pd.Timestamp("2024-03-31T01:30Z").value // 1000
    assert utc_microseconds("2024-10-27 02:30", "Europe/Berlin") == pd.Timestamp("2024-10-27T01:30Z").value // 1000
    assert (
        utc_microseconds("2024-10-27 02:30+02:00", "Europe/Berlin") == pd.Timestamp("2024-10-27T00:30Z").value // 1000
    )
    assert utc_microseconds(None, "UTC") is None


def test_days_are_counted_from_midnight(store: Store) -> None:
    """A DATE is the midnight that begins it, in the configured zone."""
    store.make({"t": sa.Date()}, [{"t": dt.date(2024, 5, 1)}, {"t": dt.date(2024, 5, 2)}])
    start = pd.Timestamp("2024-04-30T22:00Z")
    asked = ReadRequest((Query("n", "count"),), start, start + pd.Timedelta("26h"), pd.Timedelta("2h"))
    frame = only(store.reader(tz="Europe/Berlin").read(asked).frames)
    np.testing.assert_array_equal(frame.values[:, 0], [1] + 11 * [0] + [1])


@pytest.mark.parametrize("bad", ["yesterday", "", "01.05.2024 03:00"])
def test_texts_that_are_no_times(tmp_path: Path, request: pytest.FixtureRequest, bad: str) -> None:
    """One such value is an error that shows it; it never becomes a gap."""
    with new_store("sqlite", request, tmp_path) as store:
        store.make({"t": sa.Text}, [{"t": "2024-05-01 03:00:00"}, {"t": bad}])
        with pytest.raises(SourceError, match="holds no times that can be read here") as caught:
            store.reader().read(globals()["request"](5, n="count"))
        assert caught.value.reason == "bad_data"


def test_a_text_that_only_looks_like_a_time(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A thirteenth month is found where it is read."""
    with new_store("sqlite", request, tmp_path) as store:
        store.make({"t": sa.Text}, [{"t": "2024-05-01 03:00:00"}, {"t": "2024-05-01 25:00:00"}])
        with pytest.raises(SourceError, match="ISO 8601") as caught:
            store.reader().read(globals()["request"](5, n="count"))
        assert caught.value.reason == "bad_data"


@pytest.mark.parametrize(("kind", "value"), [(sa.Boolean, True), (sa.Text, "2024-05-01 03:00:00")])
def test_columns_that_hold_no_times(store: Store, kind: Any, value: Any) -> None:
    """PostgreSQL's text and truth values are refused with what to do; so is nothing that SQLite can read."""
    store.make({"t": kind}, [{"t": value}])
    if store.is_sqlite:
        store.reader().read(request(5, n="count"))
        return
    with pytest.raises(SourceError, match="convert it in a `query` of your own") as caught:
        store.reader().read(request(5, n="count"))
    assert caught.value.reason == "bad_data"
