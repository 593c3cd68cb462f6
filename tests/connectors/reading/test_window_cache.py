"""The window cache asks for the newest rows alone, and answers as if it had asked for all of them."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_connectors.reading.grouping import Samples, to_frames
from tsdiff_connectors.reading.window_cache import WindowCache
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query, Reading, ReadRequest

START = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")
NS = 60 * 10**9


def request(first: int, last: int, *, step: int = 1, groupby: tuple[str, ...] = ("host",)) -> ReadRequest:
    """Rows ``first`` to ``last`` (exclusive) in minutes after the start."""
    queries = (Query("cpu", "cpu"), Query("mem", "mem"))
    return ReadRequest(queries, START + first * MINUTE, START + last * MINUTE, step * MINUTE, groupby)


class Source:
    """Answers ``values[(host, query)][minute]`` and remembers which rows it was asked for."""

    def __init__(self, values: dict[tuple[str, str], dict[int, float]]) -> None:
        self.values = values
        self.asked: list[tuple[int, int]] = []
        self.warnings: tuple[str, ...] = ()
        self.partial = False
        self.down = False

    def fetch(self, asked: ReadRequest) -> Reading:
        first, last = ((time - START) // MINUTE for time in (asked.start, asked.end))
        self.asked.append((first, last))
        if self.down:
            raise SourceError("the source is down")
        samples = [
            Samples(
                query,
                {"host": host},
                START.value + NS * np.array(list(cells), dtype=np.int64),
                np.array(list(cells.values())),
            )
            for (host, query), cells in self.values.items()
            if any(first <= minute < last for minute in cells)
        ]
        frames = to_frames(samples, asked, source="the test", max_series=100)
        return Reading(frames, self.warnings, self.partial)


def steady(minutes: int = 100) -> Source:
    """Two hosts with both metrics at each minute."""
    return Source({(host, query): {m: float(m) for m in range(minutes)} for host in "ab" for query in ("cpu", "mem")})


def same(one: Reading, other: Reading) -> None:
    """The two readings hold the same groups, series and cells."""
    assert list(one.frames) == list(other.frames)
    for group, frame in one.frames.items():
        assert frame.series == other.frames[group].series
        assert frame.start == other.frames[group].start
        np.testing.assert_array_equal(frame.values, other.frames[group].values)


def test_a_tick_asks_for_the_newest_rows_alone() -> None:
    """The first request goes out whole, each later one from ``reread`` rows before the last one's end."""
    source, cache = steady(), WindowCache(reread=2)
    for tick in range(3):
        asked = request(tick, 20 + tick)
        same(cache.read(asked, source.fetch), steady().fetch(asked))
    assert source.asked == [(0, 20), (18, 21), (19, 22)]


def test_late_samples_are_seen_within_the_rows_read_again() -> None:
    """A cell that was empty or other than now when it was read first holds what the source says now."""
    source, cache = steady(), WindowCache(reread=2)
    del source.values["a", "cpu"][19]
    source.values["b", "mem"][18] = -1.0
    cache.read(request(0, 20), source.fetch)
    source.values["a", "cpu"][19] = 19.0
    source.values["b", "mem"][18] = 18.0
    same(cache.read(request(1, 21), source.fetch), steady().fetch(request(1, 21)))


@pytest.mark.parametrize(
    "other",
    [request(0, 20, step=2), request(0, 20, groupby=()), dataclasses.replace(request(0, 20), queries=())],
    ids=["step", "groupby", "queries"],
)
def test_other_questions_do_not_share_a_window(other: ReadRequest) -> None:
    """Another step, other labels to group by or other queries: the source is asked for the whole span."""
    source, cache = steady(), WindowCache()
    cache.read(request(0, 20), source.fetch)
    source.asked.clear()
    with_other = dataclasses.replace(other, end=START + 22 * MINUTE)
    cache.read(with_other, lambda asked: source.asked.append((0, 22)) or Reading({}))
    assert source.asked == [(0, 22)]


@pytest.mark.parametrize(("first", "last"), [(0, 19), (0, 10), (18, 30), (40, 60)], ids=str)
def test_another_span_goes_to_the_source_whole(first: int, last: int) -> None:
    """Older rows, and rows that do not go on from those kept."""
    source, cache = steady(), WindowCache(reread=2)
    cache.read(request(0, 20), source.fetch)
    same(cache.read(request(first, last), source.fetch), steady().fetch(request(first, last)))
    assert source.asked[-1] == (first, last)


def test_older_rows_do_not_push_out_the_newest_window() -> None:
    """After a catch-up over an old span, the next tick still asks for the newest rows alone."""
    source, cache = steady(), WindowCache(reread=2)
    cache.read(request(50, 70), source.fetch)
    cache.read(request(0, 30), source.fetch)
    cache.read(request(51, 71), source.fetch)
    assert source.asked[-1] == (68, 71)


def test_a_longer_window_serves_the_ticks_after_it() -> None:
    """A fit's window is kept too: the tick that follows it asks for new rows only, and keeps no more than its own."""
    source, cache = steady(), WindowCache(reread=2)
    cache.read(request(0, 90), source.fetch)
    cache.read(request(81, 91), source.fetch)
    assert source.asked[-1] == (88, 91)
    assert cache.cells == 4 * 10


@pytest.mark.parametrize("lag", [1, 5, 18])
def test_a_source_that_is_late_loses_nothing(lag: int) -> None:
    """Its clock, or the way of its samples: rows that were empty when they were read first fill at later ticks."""
    source, cache = steady(0), WindowCache(reread=1)
    for now in range(30, 60):
        source.values = {key: {m: float(m) for m in range(now - lag)} for key in steady().values}
        asked = request(now - 20, now)
        same(cache.read(asked, source.fetch), source.fetch(asked))
    source.asked.clear()
    cache.read(request(41, 61), source.fetch)
    assert source.asked == [(max(58 - lag, 41), 61)]


def test_a_series_that_is_later_than_others_loses_nothing() -> None:
    """Its empty rows are read again, up to fifteen; one that is missing for longer has ended, and costs no more."""
    source, cache = steady(0), WindowCache(reread=1)
    for now in range(40, 80):
        source.values = {
            ("a", "cpu"): dict.fromkeys(range(now), 1.0),
            ("a", "mem"): dict.fromkeys(range(now - 15), 2.0),
        }
        source.values["b", "cpu"] = {m: 3.0 for m in range(now) if m < 50}
        asked = request(now - 30, now)
        same(cache.read(asked, source.fetch), source.fetch(asked))
    del source.values["a", "mem"]
    for now in (80, 90, 100, 110, 111):
        source.values["a", "cpu"] = dict.fromkeys(range(now), 1.0)
        cache.read(request(now - 30, now), source.fetch)
    assert source.asked[-1] == (109, 111)


def test_series_and_groups_come_and_go() -> None:
    """Series without a value left in the window are absent; new ones have their place among the others."""
    source, cache = steady(0), WindowCache(reread=1)
    source.values = {
        ("a", "mem"): dict.fromkeys(range(100), 1.0),
        ("a", "cpu"): dict.fromkeys(range(30, 100), 2.0),
        ("b", "cpu"): dict.fromkeys(range(5), 3.0),
        ("c", "cpu"): {40: 4.0},
    }
    for tick in range(50):
        asked = request(tick, tick + 10)
        same(cache.read(asked, source.fetch), source.fetch(asked))


def test_what_a_source_says_under_a_warning_is_not_kept() -> None:
    """Partial, warned and failed answers are passed on, and the rows are asked for again on the next tick."""
    source, cache = steady(), WindowCache(reread=2)
    cache.read(request(0, 20), source.fetch)
    source.partial = True
    assert cache.read(request(1, 21), source.fetch).partial
    source.partial, source.warnings = False, ("a store did not answer",)
    assert cache.read(request(2, 22), source.fetch).warnings == ("a store did not answer",)
    source.warnings, source.down = (), True
    with pytest.raises(SourceError, match="the source is down"):
        cache.read(request(3, 23), source.fetch)
    source.down = False
    same(cache.read(request(4, 24), source.fetch), steady().fetch(request(4, 24)))
    assert source.asked == [(0, 20), (18, 21), (18, 22), (18, 23), (18, 24)]


def test_what_is_kept_is_bounded() -> None:
    """The window that was not used for longest goes first, and one that is too large alone is never kept."""
    source, cache = steady(), WindowCache(max_cells=100)
    cache.read(request(0, 20), source.fetch)
    cache.read(request(0, 24, step=2), source.fetch)
    assert cache.cells == 4 * 12
    cache.read(request(0, 26), source.fetch)
    assert cache.cells == 4 * 12
    cache.read(request(2, 26, step=2), source.fetch)
    assert source.asked[-1] == (20, 26)


def test_nothing_negative_is_accepted() -> None:
    """A cache cannot keep less than nothing."""
    with pytest.raises(ValueError, match="negative"):
        WindowCache(reread=-1)


def test_threads_may_share_a_cache() -> None:
    """Many threads that read different spans at once all get what the source says."""
    source, cache, found = steady(), WindowCache(), {}

    def read(tick: int) -> None:
        found[tick] = cache.read(request(tick, tick + 20), source.fetch)

    threads = [threading.Thread(target=read, args=(tick,)) for tick in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)  # a thread that failed has left nothing to compare
    for tick, reading in found.items():
        same(reading, steady().fetch(request(tick, tick + 20)))


_cells = st.dictionaries(st.integers(0, 40), st.floats(-10, 10), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(["cpu", "mem"])), _cells, max_size=5),
    st.lists(st.tuples(st.integers(0, 35), st.integers(0, 20)), max_size=12),
    st.integers(0, 5),
)
def test_answers_are_those_of_the_source(
    values: dict[tuple[str, str], dict[int, float]], spans: list[tuple[int, int]], reread: int
) -> None:
    """With any series, and spans asked for in any order, nothing is lost, doubled or made up."""
    source, cache = Source(values), WindowCache(reread=reread)
    for first, rows in spans:
        asked = request(first, first + rows)
        same(cache.read(asked, source.fetch), Source(values).fetch(asked))


def test_a_reading_of_some_groups_leaves_the_window_alone() -> None:
    """It goes to the source whole and is not kept: the next reading of all groups goes on from the last one."""
    source, cache = steady(), WindowCache(reread=2)
    cache.read(request(0, 30), source.fetch)
    some = dataclasses.replace(request(0, 31), groups=frozenset({(("host", "a"),)}))
    assert list(cache.read(some, source.fetch).frames) == [(("host", "a"),)]
    cells = cache.cells
    whole = cache.read(request(1, 31), source.fetch)
    assert (source.asked[1:], cells) == ([(0, 31), (28, 31)], 30 * 4)
    same(whole, steady().fetch(request(1, 31)))
