"""Tables are read as documented, and what cannot be read is explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsdiff_monitor.errors import DataError
from tsdiff_monitor.timeseries.tables import Table, read_table, read_tables, to_frame

DATA = Path(__file__).parents[2] / "../shared/data"


def write(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def table(seconds: list[float], *columns: list[float], **more: object) -> Table:
    """A table in memory, a metric per column."""
    values = np.array(columns, dtype=np.float32).T
    times = (np.array(seconds) * 1e9).astype(np.int64)
    return Table(Path("memory"), times, values, tuple(f"m{k}" for k in range(len(columns))), **more)  # type: ignore[arg-type]


def test_wide_table_with_all_reserved_columns(tmp_path: Path) -> None:
    """Times, metrics, split and label arrive typed; ``part`` is no metric; empty labels are unknown."""
    read = read_table(write(tmp_path, "t,part,cpu,mem,split,label\n0,a,1,,0,\n60,b,2.5,7,1,1\n120,b,inf,8,1,0\n"))
    assert read.names == ("cpu", "mem")
    assert read.times_ns.tolist() == [0, 60 * 10**9, 120 * 10**9]
    assert np.array_equal(read.values, np.array([[1, np.nan], [2.5, 7], [np.nan, 8]], np.float32), equal_nan=True)
    assert read.split is not None and read.split.dtype == np.int8 and read.split.tolist() == [0, 1, 1]
    assert read.label is not None and read.label.dtype == np.int8 and read.label.tolist() == [-1, 1, 0]
    assert read.step == pd.Timedelta("1min")
    assert read.warnings == ()
    assert not read.values.flags.writeable and not read.times_ns.flags.writeable


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("t", ["1714532400", "1714532460"]),
        ("t", ["1714532400.0", "1714532460.0"]),
        ("t", ["2024-05-01T03:00:00Z", "2024-05-01T03:01:00Z"]),
        ("time", ["1714532400000", "1714532460000"]),
        ("timestamp", ["1714532400", "1714532460"]),
        ("timestamp", ["1714532400000000000", "1714532460000000000"]),
        ("time", ["2024-05-01 03:00:00", "2024-05-01 03:01"]),
        ("time", ["2024-05-01T05:00:00+02:00", "2024-05-01T03:01:00Z"]),
        ("time", ["2024-05-01T05:00:00+0200", "2024-05-01T03:01:00"]),
        ("timestamp", ['"1714532400"', " 1714532460"]),
    ],
)
def test_times_in_every_accepted_form(tmp_path: Path, header: str, cells: list[str]) -> None:
    """Unix numbers and ISO 8601 mean the same instants; without an offset it is UTC."""
    read = read_table(write(tmp_path, f"{header},cpu\n{cells[0]},1\n{cells[1]},2\n"))
    assert read.times_ns.tolist() == [1714532400 * 10**9, 1714532460 * 10**9]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_timestamps_of_every_unit(tmp_path: Path, unit: str, zone: str | None) -> None:
    """Typed timestamps of any unit and zone become UTC nanoseconds, also as an unnamed pandas index."""
    times = pd.date_range("2024-05-01T03:00:00", periods=2, freq="1min", tz="UTC").tz_convert(zone).as_unit(unit)
    pd.DataFrame({"time": times, "cpu": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"cpu": [1.0, 2.0]}, index=times).to_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        read = read_table(tmp_path / name)
        assert read.times_ns.tolist() == [1714532400 * 10**9, 1714532460 * 10**9]
        assert read.names == ("cpu",)


def test_rows_are_sorted_and_the_last_of_duplicates_stays(tmp_path: Path) -> None:
    """Order does not matter; of rows with the same time the last in the file stays, and that is said."""
    read = read_table(write(tmp_path, "t,cpu,label\n120,3,0\n0,1,0\n120,4,1\n60,2,0\n"))
    assert read.values[:, 0].tolist() == [1, 2, 4]
    assert read.label is not None and read.label.tolist() == [0, 0, 1]
    assert len(read.warnings) == 1
    assert "1 rows have the time of a later row" in read.warnings[0]
    assert "1970-01-01T00:02:00" in read.warnings[0]


def test_fractions_of_seconds_keep_their_grid(tmp_path: Path) -> None:
    """Tenths of a second stay exact although float seconds are not."""
    times = [f"{1714532400 + i / 10:.1f}" for i in range(50)]
    read = read_table(write(tmp_path, "t,cpu\n" + "".join(f"{t},1\n" for t in times)))
    assert read.step == pd.Timedelta("100ms")
    frame, _ = to_frame(read)
    assert frame.observed.all() and len(frame) == 50


def test_text_that_is_all_numbers_is_a_metric(tmp_path: Path) -> None:
    """Text columns that parse fully as numbers are accepted, an empty cell being a gap; booleans and decimals too."""
    columns = {
        "t": pa.array([0, 60, 120]),
        "text": pa.array(["1.5", "", " 2 "]),
        "dictionary": pa.array(["1", None, "3"]).dictionary_encode(),
        "flag": pa.array([True, None, False]),
        "decimal": pa.array([1, 2, None], pa.decimal128(10, 2)),
        "nothing": pa.nulls(3),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    read = read_table(tmp_path / "a.parquet")
    nan = np.nan
    expected = [[1.5, 1, 1, 1, nan], [nan, nan, nan, 2, nan], [2, 3, 0, nan, nan]]
    assert np.array_equal(read.values, np.array(expected, np.float32), equal_nan=True)


def test_constant_and_empty_metrics_are_kept(tmp_path: Path) -> None:
    """A metric that never changes or is never there is still a column."""
    read = read_table(write(tmp_path, "t,zero,none\n0,0,\n60,0,\n"))
    assert read.names == ("zero", "none")
    assert np.isnan(read.values[:, 1]).all()


def test_numbers_beyond_float32_are_gaps(tmp_path: Path) -> None:
    """A number that float32 cannot hold is a gap, as infinities are."""
    read = read_table(write(tmp_path, "t,cpu\n0,1e300\n60,-inf\n120,1\n"))
    assert np.isnan(read.values[:2, 0]).all()


def test_long_table_one_table_per_series(tmp_path: Path) -> None:
    """Each series of a long table has its own rows, splits and labels."""
    text = "series,t,value,label,split,part\na,0,1,0,0,x\nb,30,5,1,0,x\na,60,2,0,1,x\nb,90,6,0,1,x\n"
    first, second = read_tables(write(tmp_path, text))
    assert (first.names, second.names) == (("a",), ("b",))
    assert second.times_ns.tolist() == [30 * 10**9, 90 * 10**9]
    assert second.label is not None and second.label.tolist() == [1, 0]
    assert first.layout == second.layout == "long"


def test_long_table_joined(tmp_path: Path) -> None:
    """Joined, a row is anomalous or to be scored if any series says so, and a series without it has a gap."""
    text = "series,t,value,label,split\na,0,1,0,0\nb,0,5,1,1\na,60,2,0,1\n"
    read = read_table(write(tmp_path, text))
    assert read.names == ("a", "b")
    assert np.array_equal(read.values, np.array([[1, 5], [2, np.nan]], np.float32), equal_nan=True)
    assert read.label is not None and read.label.tolist() == [1, 0]
    assert read.split is not None and read.split.tolist() == [1, 1]


def test_long_table_says_what_it_leaves_out(tmp_path: Path) -> None:
    """A column that a long table has no use for is left out, not silently."""
    read = read_table(write(tmp_path, "series,t,value,point\na,0,1,9\na,60,2,9\n"))
    assert "point" in read.warnings[0]
    assert read_table(write(tmp_path, "series,t,value\n1,0,1\n1,60,2\n"), "wide").names == ("series", "value")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t,cpu\n", "header but no rows"),
        ("cpu,mem\n1,2\n", "no time column among cpu, mem; add 't'"),
        ("Time,cpu\n1,2\n", "rename 'Time' to 'time'"),
        ("t,time,cpu\n1,2,3\n", r"several columns could be the time \(t, time\)"),
        ("t,split\n1,0\n", "no metric columns"),
        ("t,cpu\n1,fast\n", "the column 'cpu' is not numeric: it holds 'fast' in row 1; remove"),
        ("t,cpu,host\n1,2,\n2,3,web-1\n", "the column 'host' is not numeric: it holds 'web-1' in row 2"),
        ("t,cpu,day\n1,2,2024-01-01\n", "the column 'day' is not numeric: it holds '2024-01-01' in row 1"),
        ("t,cpu\n1,2\n,3\n", "the time column 't' is empty in row 2; write Unix seconds"),
        ("time,cpu\n2024-05-01,2\nyesterday,3\n", "'time' holds 'yesterday', which is not a time, in row 2"),
        ("t,cpu\n1714532400000,2\n", "beyond the year 2262; name the column 'timestamp'"),
        ("time,cpu\n99999999999,2\n", "outside the years 1678 to 2262"),
        ("time,cpu\n9999-01-01,2\n", "outside the years 1678 to 2262"),
        ("t,cpu,split\n1,2,0\n2,3,2\n", "'split' holds 2 in row 2; it may hold 0 = fit, 1 = score"),
        ("t,cpu,split\n1,2,0\n2,3,\n", "'split' is empty in row 2"),
        ("t,cpu,label\n1,2,0.5\n", "'label' holds 0.5 in row 1; it may hold 1 = anomalous"),
        ("t,cpu,cpu\n1,2,3\n", "several columns are named 'cpu'"),
        (",time,cpu\n0,1,2\n", r"column 1 has no name.*index=False"),
        ("t;cpu\n1;2\n", "not separated by commas"),
        ("t,cpu\n1,2,3\n", "not a readable CSV file.*Expected 2 columns"),
        (b"t,\xe9\n1,2\n", "not a readable CSV file"),
        ("t,cpu\n1,\xe9\n".encode("latin-1"), "not numeric"),
        ("series,t,value\n,1,2\n", "'series' is empty in row 1"),
        ("series,t,value\na,1,high\n", "'value' is not numeric: it holds 'high' in row 1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str | bytes, message: str) -> None:
    """Every error names the file, and the column, the first bad value and its row where there is one."""
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_paths_that_are_no_table(tmp_path: Path) -> None:
    """A missing file is answered with names that come close; folders, other kinds and damage are named as such."""
    write(tmp_path, "t,cpu\n1,2\n", "machine-1.csv")
    with pytest.raises(DataError, match=r"no such file; did you mean machine-1\.csv\?"):
        read_table(tmp_path / "machine_1.csv")
    with pytest.raises(DataError, match="there is no folder"):
        read_table(tmp_path / "none" / "a.csv")
    with pytest.raises(DataError, match="this is a folder"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"extension '\.xlsx' is not supported"):
        read_table(write(tmp_path, "x", "a.xlsx"))
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(write(tmp_path, "t,cpu\n1,2\n", "a.parquet"))
    pd.DataFrame({"t": range(1000), "cpu": np.random.default_rng(0).random(1000)}).to_parquet(tmp_path / "b.parquet")
    whole = (tmp_path / "b.parquet").read_bytes()
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(write(tmp_path, whole[: len(whole) // 2], "b.parquet"))
    with pytest.raises(DataError, match=r"a\.csv: a long table needs .* value is missing"):
        read_table(write(tmp_path, "t,series\n1,2\n", "a.csv"), "long")


def test_nested_parquet_columns_are_named(tmp_path: Path) -> None:
    """A column of lists is refused like any other that is not numeric."""
    pq.write_table(pa.table({"t": [1, 2], "cpu": [[1.0], [2.0]]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="the column 'cpu' is not numeric"):
        read_table(tmp_path / "a.parquet")


def test_an_integer_pandas_index_is_left_out(tmp_path: Path) -> None:
    """The index that pandas keeps after filtering is no metric."""
    data = pd.DataFrame({"t": [0, 60, 120, 180], "cpu": [1.0, 2.0, 3.0, 4.0]}).iloc[[0, 1, 3]]
    data.to_parquet(tmp_path / "a.parquet")
    read = read_table(tmp_path / "a.parquet")
    assert read.names == ("cpu",)
    assert "index" in read.warnings[0]


def test_step_is_the_most_common_difference() -> None:
    """Gaps do not change the step; a single row has none."""
    assert table([0, 60, 120, 600, 660], [1, 2, 3, 4, 5]).step == pd.Timedelta("60s")
    assert not table([0, 60, 120, 600, 660], [1, 2, 3, 4, 5]).irregular
    with pytest.raises(DataError, match="a single row has no step"):
        _ = table([0], [1]).step


def test_step_of_irregular_times_is_the_middle_one() -> None:
    """If no two differences are alike, the most common one would be a coincidence."""
    drifting = table([60 * i + 0.001 * i * i for i in range(200)], [0.0] * 200)
    assert drifting.irregular
    assert drifting.step.total_seconds() == pytest.approx(60.199, abs=0.002)


def test_frame_and_the_rows_it_came_from() -> None:
    """Each kept table row knows its frame row; gaps are NaN; rows that share a cell share a frame row."""
    read = table([0, 60, 130, 170, 300], [1, 2, 3, np.nan, 5])
    frame, rows = to_frame(read, pd.Timedelta("60s"))
    assert rows.tolist() == [0, 1, 2, 2, 5]
    assert np.array_equal(frame.values[:, 0], [1, 2, 3, np.nan, np.nan, 5], equal_nan=True)
    frame, rows = to_frame(read, pd.Timedelta("60s"), np.array([False, True, True, False, False]))
    assert (frame.start.value, len(frame), rows.tolist()) == (60 * 10**9, 2, [0, 1])
    with pytest.raises(DataError, match="no rows"):
        to_frame(read, rows=np.zeros(5, dtype=bool))


def test_grids_that_do_not_fit_in_memory_are_refused() -> None:
    """One stray time far from the others is an error with a remedy, not an endless wait."""
    with pytest.raises(DataError, match=r"would take 1,700,000,001 rows of 1 metrics.*look for stray times"):
        to_frame(table([0, 1, 2, 1_700_000_000], [1, 2, 3, 4]))


REAL = (
    sorted(DATA.glob("smd/*.parquet")) + sorted(DATA.glob("nezha/*.parquet")) + sorted(DATA.glob("petshop/*.parquet"))
)


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the labelled data beside the checkout is absent")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_wide_tables(path: Path) -> None:
    """Every value of real recordings is found in the frame at its row."""
    data = pd.read_parquet(path)
    read = read_table(path)
    assert set(read.names) == set(data.columns) - {"t", "part", "split", "label"}
    assert read.warnings == ()
    frame, rows = to_frame(read)
    ordered = data.sort_values("t", kind="stable")
    assert np.array_equal(frame.values[rows], ordered[list(read.names)].to_numpy(np.float32), equal_nan=True)
    assert frame.observed.sum() == np.isfinite(read.values).sum()
    assert read.step in (pd.Timedelta("1min"), pd.Timedelta("5min"))


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the labelled data beside the checkout is absent")
def test_real_long_tables() -> None:
    """Duplicates are said and the last stays; as many series as the file names."""
    path = DATA / "ms_cloud_monitoring/dev_30.parquet"
    data = pd.read_parquet(path)
    tables = read_tables(path)
    assert len(tables) == 30
    assert any("have the time of a later row" in note for one in tables for note in one.warnings)
    kept = data.drop_duplicates(["series", "t"], keep="last")
    assert sum(len(one) for one in tables) == len(kept)
    one = tables[0]
    expected = kept[kept["series"] == one.names[0]].sort_values("t")["value"].to_numpy(np.float32)
    assert np.array_equal(one.values[:, 0], expected, equal_nan=True)
    tables = read_tables(DATA / "uts_aiops/all.parquet")
    assert len(tables) == 29 and all(one.split is not None and one.label is not None for one in tables)
