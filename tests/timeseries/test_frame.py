"""Properties of the frame, for any samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.timeseries.frame import Frame, Series, floor_time, from_samples

STEPS = st.sampled_from([1, 5, 60, 300, 3600]).map(lambda seconds: pd.Timedelta(seconds, unit="s"))
VALUES = st.one_of(st.floats(width=32), st.just(np.float32(np.nan)))
FINITE = st.floats(min_value=-1e6, max_value=1e6, width=32)
NS = st.integers(0, 200_000).map(lambda ms: 1_714_521_600_000_000_000 + ms * 1_000_000)


@st.composite
def frames(draw: st.DrawFn, step: pd.Timedelta | None = None) -> Frame:
    """Frames of up to 12 rows and 4 series, gaps and infinities among the values."""
    shape = (draw(st.integers(0, 12)), draw(st.integers(1, 4)))
    step = step if step is not None else draw(STEPS)
    start = pd.Timestamp(draw(st.integers(0, 20_000)) * step.value, tz="UTC")
    series = tuple(Series(f"m{k}", {"k": str(k)}, "q") for k in range(shape[1]))
    return Frame(start, step, draw(hnp.arrays(np.float32, shape, elements=VALUES)), series)


@st.composite
def samples(draw: st.DrawFn, unique: bool) -> tuple[np.ndarray, np.ndarray]:
    """Times in any order and a value for each."""
    times = draw(st.lists(NS, min_size=1, max_size=30, unique=unique))
    values = draw(st.lists(FINITE, min_size=len(times), max_size=len(times)))
    return np.array(times, dtype=np.int64), np.array(values)


def same(a: Frame, b: Frame) -> bool:
    """Equal in every respect, NaN counting as equal to NaN."""
    at = (a.start, a.step, a.series) == (b.start, b.step, b.series)
    return at and np.array_equal(a.values, b.values, equal_nan=True)


@given(samples(unique=False), STEPS)
def test_every_cell_holds_the_latest_of_its_samples(drawn: tuple[np.ndarray, np.ndarray], step: pd.Timedelta) -> None:
    """A cell holds the sample with the latest time in ``[t, t + step)``, of equal times the last given; else NaN."""
    times, values = drawn
    frame = from_samples([(Series("a"), times, values)], step=step)
    cells: dict[int, tuple[int, float]] = {}
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        cell = time // step.value
        if cell not in cells or time >= cells[cell][0]:
            cells[cell] = (time, value)
    assert frame.start.value == min(cells) * step.value
    assert len(frame) == max(cells) - min(cells) + 1
    for i, found in enumerate(frame.values[:, 0]):
        expected = cells.get(min(cells) + i)
        assert np.isnan(found) if expected is None else found == np.float32(expected[1])


@given(samples(unique=True), STEPS, st.integers(0, 99))
def test_the_order_of_the_samples_does_not_matter(
    drawn: tuple[np.ndarray, np.ndarray], step: pd.Timedelta, seed: int
) -> None:
    """Samples with different times give the same frame in any order."""
    times, values = drawn
    order = np.random.default_rng(seed).permutation(len(times))
    straight = from_samples([(Series("a"), times, values)], step=step)
    assert same(straight, from_samples([(Series("a"), times[order], values[order])], step=step))


@given(samples(unique=True), STEPS, NS, st.integers(0, 20))
def test_bounds_are_kept(drawn: tuple[np.ndarray, np.ndarray], step: pd.Timedelta, first: int, rows: int) -> None:
    """With bounds the frame covers exactly the grid times ``start <= t < end``, with any samples."""
    start = pd.Timestamp(first, tz="UTC")
    end = start + rows * step
    frame = from_samples([(Series("a"), *drawn)], step=step, start=start, end=end)
    assert len(frame) == rows
    assert all(start <= time < end and time == floor_time(time, step) for time in frame.times)


@given(frames(), st.integers(0, 12))
def test_cutting_and_joining_gives_the_frame_back(frame: Frame, at: int) -> None:
    """A frame cut in two at any row is joined again without a trace."""
    at = min(at, len(frame))
    assert same(frame.rows(0, at).concat(frame.rows(at, len(frame))), frame)


@given(frames(), st.integers(-20, 20), st.integers(-20, 20))
def test_rows_are_clipped(frame: Frame, first: int, last: int) -> None:
    """Any two bounds give the rows between them that exist."""
    part = frame.rows(first, last)
    expected = frame.values[max(first, 0) : max(last, 0)]
    assert np.array_equal(part.values, expected, equal_nan=True)


@given(frames(), st.integers(-20, 20), st.integers(-20, 20))
def test_cuts_lie_within_the_frame(frame: Frame, first: int, last: int) -> None:
    """A cut starts and ends within the frame also when no row is left, so that joining it adds no rows."""
    part = frame.rows(first, last)
    assert frame.start <= part.start <= part.end <= frame.end


@given(frames(), st.integers(-3, 15), st.integers(-3, 15), st.floats(0, 0.999), st.floats(0, 0.999))
def test_between_takes_the_times_from_start_to_before_end(
    frame: Frame, first: int, last: int, shift: float, other: float
) -> None:
    """The rows with ``start <= time < end``, whether or not the bounds lie on the grid."""
    start, end = frame.start + (first + shift) * frame.step, frame.start + (last + other) * frame.step
    kept = (frame.times >= start) & (frame.times < end)
    part = frame.between(start, end)
    assert part.times.equals(frame.times[kept])
    assert np.array_equal(part.values, frame.values[kept], equal_nan=True)


@given(st.data())
def test_joining_covers_both(data: st.DataObject) -> None:
    """Of overlapping cells the later argument's value stays, unless it is missing; what neither has is NaN."""
    step = pd.Timedelta(60, unit="s")
    a, b = data.draw(frames(step)), data.draw(frames(step))
    b = Frame(a.start + data.draw(st.integers(-15, 15)) * step, step, b.values, b.series)
    joined = a.concat(b)
    assert (joined.start, joined.end) == (min(a.start, b.start), max(a.end, b.end))
    assert joined.names == tuple(dict.fromkeys(a.names + b.names))
    expected = b.to_pandas().combine_first(a.to_pandas()).reindex(index=joined.times, columns=list(joined.names))
    assert np.array_equal(joined.values, expected.to_numpy(dtype=np.float32), equal_nan=True)


@given(hnp.arrays(np.float64, (3, 2), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_infinities_are_gaps(values: np.ndarray) -> None:
    """A value that float32 cannot hold is missing; no frame holds an infinity."""
    frame = Frame(pd.Timestamp(0, tz="UTC"), pd.Timedelta("1s"), values, (Series("a"), Series("b")))
    assert not np.isinf(frame.values).any()
    with np.errstate(over="ignore"):
        assert np.array_equal(frame.observed, np.isfinite(values.astype(np.float32)))


def test_samples_beyond_float32_are_gaps() -> None:
    """A sample too large for float32 becomes a gap and not an error."""
    frame = from_samples([(Series("a"), np.array([0, 10**9]), np.array([1.0, 1e300]))], step=pd.Timedelta("1s"))
    assert frame.observed.tolist() == [[True], [False]]


def test_a_frame_cannot_be_changed() -> None:
    """The values refuse assignment, and do not follow the array they came from."""
    values = np.zeros((2, 1), dtype=np.float32)
    frame = Frame(pd.Timestamp(0, tz="UTC"), pd.Timedelta("1s"), values, (Series("a"),))
    values[0] = 7
    assert frame.values[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        frame.values[0] = 7
    with pytest.raises(ValueError, match="read-only"):
        frame.rows(0, 1).values[0] = 7


def test_what_makes_no_frame() -> None:
    """Errors say what is wrong: no time zone, no step, a wrong shape, names twice."""
    start, step, one = pd.Timestamp(0, tz="UTC"), pd.Timedelta("1s"), np.zeros((1, 1))
    with pytest.raises(DataError, match="time zone"):
        Frame(pd.Timestamp(0), step, one, (Series("a"),))
    with pytest.raises(DataError, match="step must be positive"):
        Frame(start, pd.Timedelta(0), one, (Series("a"),))
    with pytest.raises(DataError, match="do not fit 2 series"):
        Frame(start, step, one, (Series("a"), Series("b")))
    with pytest.raises(DataError, match="twice: a"):
        Frame(start, step, np.zeros((1, 2)), (Series("a"), Series("a")))
    with pytest.raises(DataError, match="no samples"):
        from_samples([], step=step)


def test_frames_on_other_grids_are_not_joined() -> None:
    """Another step, or a grid that is shifted, is refused instead of moved."""
    start, step = pd.Timestamp(0, tz="UTC"), pd.Timedelta("60s")
    frame = Frame(start, step, np.zeros((2, 1)), (Series("a"),))
    with pytest.raises(DataError, match="with steps"):
        frame.concat(Frame(start, pd.Timedelta("30s"), np.zeros((2, 1)), (Series("a"),)))
    with pytest.raises(DataError, match="shifted"):
        frame.concat(Frame(start + pd.Timedelta("1s"), step, np.zeros((2, 1)), (Series("a"),)))
