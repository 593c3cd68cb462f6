"""Labelled series become one frame per group, and what cannot be distinguished is an error."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_connectors.reading.grouping import Samples, grid_ns, series_name, to_frames
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group, Series, from_samples

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")
NS = 60 * 10**9


def request(*groupby: str, rows: int = 5, queries: tuple[str, ...] = ("cpu", "mem")) -> ReadRequest:
    """``rows`` minutes from three o'clock."""
    return ReadRequest(tuple(Query(name, name) for name in queries), HOUR, HOUR + rows * MINUTE, MINUTE, groupby)


def samples(query: str, values: list[float], first: int = 0, **labels: str) -> Samples:
    """A value per minute from row ``first`` on."""
    times = HOUR.value + NS * (first + np.arange(len(values), dtype=np.int64))
    return Samples(query, labels, times, np.array(values))


def frames(asked: ReadRequest, *given: Samples, max_series: int = 100) -> dict[Group, Frame]:
    """The groups of these samples."""
    return to_frames(given, asked, source="reader 'prom'", max_series=max_series)


def refusal(asked: ReadRequest, *given: Samples, max_series: int = 100) -> SourceError:
    """The error that these samples give."""
    with pytest.raises(SourceError) as caught:
        frames(asked, *given, max_series=max_series)
    assert "reader 'prom'" in str(caught.value)
    assert not caught.value.recoverable
    return caught.value


def test_a_group_is_the_sorted_labels_asked_for() -> None:
    """Series with the same values of the ``groupby`` labels share a frame, in any order of the labels."""
    found = frames(
        request("zone", "host"),
        samples("cpu", [1, 2], host="a", zone="x"),
        samples("mem", [3, 4], host="a", zone="x"),
        samples("cpu", [5, 6], host="b", zone="x"),
    )
    assert list(found) == [(("host", "a"), ("zone", "x")), (("host", "b"), ("zone", "x"))]
    both = found[("host", "a"), ("zone", "x")]
    assert both.names == ("cpu", "mem")
    np.testing.assert_array_equal(both.values[:2], [[1, 3], [2, 4]])
    assert np.isnan(both.values[2:]).all()


def test_names_depend_on_the_series_alone() -> None:
    """Labels beyond the group's name a series, whether or not another one would need them to be distinguished."""
    one = samples("cpu", [1], __name__="node_cpu", host="a", mode="idle", cpu="0")
    alone = frames(request("host"), one)[("host", "a"),]
    beside = frames(request("host"), samples("cpu", [2], host="a", mode="user", cpu="0"), one)[("host", "a"),]
    assert alone.names == ('cpu{cpu="0",mode="idle"}',)
    assert set(alone.names) < set(beside.names)
    assert alone.series[0] == Series(alone.names[0], {"host": "a", "mode": "idle", "cpu": "0"}, "cpu")


def test_unusual_label_values_stay_unambiguous() -> None:
    """Quotes, commas and line ends in a value are escaped, so that no two label sets share a name."""
    assert series_name("q", {}) == "q"
    assert series_name("q", {"b": 'x"', "a": "ä\n"}) == 'q{a="ä\\n",b="x\\""}'
    assert series_name("q", {"a": '1",b="2'}) != series_name("q", {"a": "1", "b": "2"})


def test_columns_stand_in_the_order_of_the_queries() -> None:
    """However the source orders its answer, a frame's columns are the same."""
    given = [samples("mem", [1]), samples("cpu", [2], core="1"), samples("cpu", [3], core="0")]
    expected = ('cpu{core="0"}', 'cpu{core="1"}', "mem")
    assert frames(request(), *given)[()].names == expected
    assert frames(request(), *reversed(given))[()].names == expected


def test_rows_outside_the_span_are_dropped() -> None:
    """The frame covers ``start <= t < end`` and no more, also where the source answers more than it was asked."""
    found = frames(request(rows=2), samples("cpu", [1, 2, 3, 4], first=-1))[()]
    assert found.start == HOUR
    np.testing.assert_array_equal(found.values, [[2], [3]])


def test_what_has_no_value_is_left_out() -> None:
    """A series of NaN and infinities alone is absent, and so is a group that has nothing else."""
    found = frames(
        request("host"),
        samples("cpu", [np.nan, np.inf, -np.inf], host="a"),
        samples("mem", [1, np.inf, 3], host="a"),
        samples("cpu", [np.nan], host="b"),
        samples("cpu", [1], first=50, host="c"),
    )
    assert list(found) == [(("host", "a"),)]
    np.testing.assert_array_equal(found[("host", "a"),].values[:, 0], [1, np.nan, 3, np.nan, np.nan])
    assert frames(request()) == {}
    assert frames(request(rows=0), samples("cpu", [1, 2])) == {}


def test_the_grid_is_aligned_to_the_step() -> None:
    """Rows are multiples of the step since the epoch within the half-open span, also where its ends are not."""
    shifted = dataclasses.replace(
        request(), start=HOUR + pd.Timedelta("1s"), end=HOUR + 3 * MINUTE + pd.Timedelta("1s")
    )
    assert grid_ns(shifted) == (HOUR.value + NS, HOUR.value + 4 * NS, NS)
    np.testing.assert_array_equal(frames(shifted, samples("cpu", [0, 1, 2, 3, 4]))[()].values, [[1], [2], [3]])


def test_a_series_without_a_group_label_is_an_error() -> None:
    """It says which label, of which query, and what labels there are."""
    error = refusal(request("host"), samples("cpu", [1], host="a"), samples("mem", [1], __name__="m", instance="a"))
    assert error.reason == "bad_request"
    assert "'host'" in str(error)
    assert "'mem' has the labels instance;" in str(error)


def test_two_series_that_nothing_distinguishes_are_an_error() -> None:
    """Which query, in which words they coincide, and what to do."""
    error = refusal(request("host"), samples("cpu", [1], host="a"), samples("cpu", [2], host="a"))
    assert error.reason == "duplicate"
    assert "'cpu'" in str(error)
    assert "sum by" in str(error)


def test_metrics_that_share_their_labels_are_an_error_of_their_own() -> None:
    """A metric's own name is no label, so two metrics of one query need two queries."""
    error = refusal(request(), samples("cpu", [1], __name__="up"), samples("cpu", [2], __name__="down"))
    assert error.reason == "duplicate"
    assert "up and down: give each a query of its own" in str(error)


def test_too_many_series_are_refused_with_advice() -> None:
    """The message says how many there are, how many may be, and which query brings most of them."""
    given = [samples("mem", [1], path=str(k)) for k in range(9)] + [samples("cpu", [1])]
    error = refusal(request(), *given, max_series=9)
    assert error.reason == "too_many_series"
    assert "10 series, more than the 9" in str(error)
    assert "'mem' alone brings 9" in str(error)
    assert len(frames(request(), *given, max_series=10)[()].names) == 10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-3, 8 * 4), st.floats(width=32)), max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_cells_are_those_of_from_samples(given: list[list[tuple[int, float]]]) -> None:
    """Any samples, unsorted and repeated as they may be, give the cells that the core's own grid gives."""
    asked = request(rows=8, queries=tuple(f"q{k}" for k in range(len(given))))
    quarter = NS // 4
    made = [
        Samples(
            f"q{k}",
            {},
            HOUR.value + quarter * np.array([at for at, _ in one], dtype=np.int64),
            np.array([value for _, value in one], dtype=np.float64),
        )
        for k, one in enumerate(given)
    ]
    whole = from_samples(
        [(Series(one.query), one.times_ns, one.values) for one in made], step=MINUTE, start=asked.start, end=asked.end
    )
    expected = whole.select([name for k, name in enumerate(whole.names) if whole.observed[:, k].any()])
    found = frames(asked, *made).get((), expected.select([]))
    assert found.names == expected.names
    np.testing.assert_array_equal(found.values, expected.values)


def test_a_thousand_groups_take_less_than_a_second() -> None:
    """1,000 groups of 38 series with three new rows each: no more than a second of this process's time."""
    queries = tuple(f"q{k:02}" for k in range(38))
    given = [samples(query, [1.0, 2.0, 3.0], instance=f"host-{n}") for n in range(1000) for query in queries]
    began = time.process_time()
    found = frames(request("instance", queries=queries), *given, max_series=50_000)
    assert time.process_time() - began < 1.0
    assert len(found) == 1000
