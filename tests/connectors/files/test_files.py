"""The files reader serves tables as a source, history and labels included."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tsdiff_connectors.files import FilesReader
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, History, Query, ReadRequest
from tsdiff_monitor.testing import ReaderConformance
from tsdiff_monitor.timeseries.frame import Group

DATA = Path(__file__).parents[3] / "../shared/data"
HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = pd.Timedelta("1min")


def reader(path: Path, **config: Any) -> FilesReader:
    """A reader of this path or glob."""
    return FilesReader(FilesReader.Config(path=str(path), **config), Context())


def request(rows: int = 10, groupby: tuple[str, ...] = ("file",), **queries: str) -> ReadRequest:
    """The first ``rows`` minutes of the tables that these tests write."""
    asked = tuple(Query(name, expr) for name, expr in (queries or {"everything": "*"}).items())
    return ReadRequest(asked, HOUR, HOUR + rows * MINUTE, MINUTE, groupby)


def wide(path: Path, rows: int = 10, base: float = 0, **columns: list[float]) -> Path:
    """A wide CSV of ``rows`` minutes with the metrics ``cpu`` and ``mem``."""
    times = (HOUR.value // 10**9 + 60 * np.arange(rows)).tolist()
    data = {"t": times, "cpu": base + np.arange(rows), "mem": base + 100.0 + np.arange(rows), **columns}
    path.parent.mkdir(exist_ok=True, parents=True)
    pd.DataFrame(data).to_csv(path, index=False)
    return path


def group(file: str) -> Group:
    """The group of one file."""
    return (("file", file),)


class TestWideFiles(ReaderConformance):
    """The promises of every reader, kept for wide files."""

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        self.path = tmp_path / "*.csv"
        wide(tmp_path / "a.csv", label=[0, 0, 0, 1, 1, 0, 0, 0, 0, 1])
        wide(tmp_path / "b.csv", 7, 1000)

    def make(self) -> FilesReader:
        return reader(self.path, labels={"zone": "west"})

    def request(self) -> ReadRequest:
        return request(groupby=("zone", "file"), cpu="cpu", rest="*")

    def broken(self) -> FilesReader:
        return reader(self.path.with_name("none.csv"))


class TestLongFiles(ReaderConformance):
    """The promises of every reader, kept for long files."""

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        self.path = tmp_path / "long.csv"
        rows = [f"{name},{HOUR.value // 10**9 + 60 * i},{i},{int(i == 3)}\n" for name in "ab" for i in range(10)]
        self.path.write_text("series,t,value,label\n" + "".join(rows))

    def make(self) -> FilesReader:
        return reader(self.path)

    def request(self) -> ReadRequest:
        return request(groupby=("series",))

    def broken(self) -> FilesReader:
        return reader(self.path / "x*.csv")


def test_a_group_per_file(tmp_path: Path) -> None:
    """Grouped by file, series keep their metric's name; labels and query are given."""
    wide(tmp_path / "a.csv")
    wide(tmp_path / "b.csv", base=1000)
    frames = reader(tmp_path / "*.csv", labels={"zone": "west"}).read(request()).frames
    assert set(frames) == {group("a"), group("b")}
    frame = frames[group("b")]
    assert frame.names == ("cpu", "mem")
    assert dict(frame.series[0].labels) == {"file": "b", "zone": "west"}
    assert frame.series[0].query == "everything"
    assert frame.values[:, 0].tolist() == [1000 + i for i in range(10)]


def test_several_files_in_one_group_have_their_file_in_front(tmp_path: Path) -> None:
    """Without grouping by file, equal metrics of several files are distinguished; of one file they keep their name."""
    wide(tmp_path / "a.csv")
    assert reader(tmp_path / "*.csv").read(request(groupby=())).frames[()].names == ("cpu", "mem")
    wide(tmp_path / "b.csv")
    names = reader(tmp_path / "*.csv").read(request(groupby=())).frames[()].names
    assert names == ("a/cpu", "a/mem", "b/cpu", "b/mem")


def test_files_with_the_same_stem_are_distinguished(tmp_path: Path) -> None:
    """Two files of the same name in different folders are two values of ``file``."""
    wide(tmp_path / "x" / "a.csv")
    wide(tmp_path / "y" / "a.csv")
    wide(tmp_path / "y" / "b.csv")
    frames = reader(tmp_path / "**" / "*.csv").read(request()).frames
    assert set(frames) == {group("x/a.csv"), group("y/a.csv"), group("b")}


def test_queries_pick_metrics(tmp_path: Path) -> None:
    """Literal names come first, then globs; commas separate; of two queries the first has a metric."""
    wide(tmp_path / "a.csv", **{"cpu[1]": [1.0] * 10, "net,in": [1.0] * 10, "net": [2.0] * 10})
    source = reader(tmp_path / "a.csv")

    def picked(**queries: str) -> dict[str, str]:
        answer = source.read(request(**queries)).frames
        return {one.name: one.query for one in answer[group("a")].series} if answer else {}

    assert picked(a="cpu[1]") == {"cpu[1]": "a"}
    assert picked(a="net,in") == {"net,in": "a"}
    assert picked(a="net, mem") == {"mem": "a", "net": "a"}
    assert picked(a="cpu*, m?m") == {"cpu": "a", "mem": "a", "cpu[1]": "a"}
    assert picked(a="mem", b="*m*", c="*") == {"mem": "a", "cpu": "c", "cpu[1]": "c", "net,in": "c", "net": "c"}


def test_a_query_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    """A misspelt metric is named; the others are read."""
    wide(tmp_path / "a.csv")
    reading = reader(tmp_path / "a.csv").read(request(good="cpu", bad="cpuu"))
    assert reading.frames[group("a")].names == ("cpu",)
    assert any("'bad' matches no metric" in warning for warning in reading.warnings)


def test_rows_outside_the_data_are_gaps(tmp_path: Path) -> None:
    """The frame covers the request; where the file has no row there is NaN, and no frame where it has none at all."""
    wide(tmp_path / "a.csv", 3)
    source = reader(tmp_path / "a.csv")
    frame = source.read(request(5, cpu="cpu")).frames[group("a")]
    assert np.array_equal(frame.values[:, 0], [0, 1, 2, np.nan, np.nan], equal_nan=True)
    late = ReadRequest((Query("cpu", "cpu"),), HOUR + pd.Timedelta("1D"), HOUR + pd.Timedelta("2D"), MINUTE, ("file",))
    assert source.read(late).frames == {}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """A file that is replaced, added or removed while the daemon runs shows at the next read."""
    path = wide(tmp_path / "a.csv", 3)
    source = reader(tmp_path / "*.csv")
    assert np.isnan(source.read(request(4, cpu="cpu")).frames[group("a")].values[3, 0])
    wide(path, 4)
    os.utime(path, ns=(1, 1))
    assert source.read(request(4, cpu="cpu")).frames[group("a")].values[3, 0] == 3
    wide(tmp_path / "b.csv")
    assert len(source.read(request()).frames) == 2
    path.unlink()
    assert set(source.read(request()).frames) == {group("b")}


def test_failures_are_source_errors(tmp_path: Path) -> None:
    """A file that is gone may come back; bad data, an unknown label and an endless grid are for a person to fix."""
    path = wide(tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"did you mean a\.csv") as caught:
        reader(tmp_path / "aa.csv").read(request())
    assert (caught.value.reason, caught.value.recoverable) == ("not_found", True)
    with pytest.raises(SourceError, match="no file matches") as caught:
        reader(tmp_path / "*.pq").read(request())
    assert caught.value.reason == "not_found"
    with pytest.raises(SourceError, match="cannot group by 'instance', its labels are file") as caught:
        reader(path).read(request(groupby=("instance",)))
    assert (caught.value.reason, caught.value.recoverable) == ("bad_request", False)
    with pytest.raises(SourceError, match="more than can be held in memory") as caught:
        reader(path).read(ReadRequest((Query("a", "*"),), HOUR, HOUR + pd.Timedelta("9999D"), pd.Timedelta("1ms")))
    assert caught.value.reason == "bad_request"
    path.write_text("t,cpu\n1,fast\n")
    with pytest.raises(SourceError, match="'cpu' is not numeric") as caught:
        reader(path).read(request())
    assert (caught.value.reason, caught.value.recoverable) == ("bad_data", False)


def test_configuration_is_checked() -> None:
    """Labels that the reader sets itself, a fraction outside 0 to 1 and an empty path are refused."""
    for wrong in ({"labels": {"file": "x"}}, {"fit_fraction": 1.0}, {"path": ""}, {"format": "tall"}):
        with pytest.raises(ValidationError):
            FilesReader.Config.model_validate({"path": "a.csv", **wrong})


def test_extent_follows_the_split(tmp_path: Path) -> None:
    """Rows with split 0 are to fit on and rows with split 1 to score; without it a fraction, the oldest, is fit on."""
    wide(tmp_path / "a.csv", split=[0] * 6 + [1] * 4)
    extent = reader(tmp_path / "a.csv").extents(())[()]
    assert (extent.fit_start, extent.fit_end) == (HOUR, HOUR + 6 * MINUTE)
    assert (extent.start, extent.end) == (HOUR + 6 * MINUTE, HOUR + 10 * MINUTE)
    wide(tmp_path / "b.csv")
    extent = reader(tmp_path / "b.csv", fit_fraction=0.3).extents(())[()]
    assert (extent.fit_end, extent.start, extent.end) == (HOUR + 3 * MINUTE, HOUR + 3 * MINUTE, HOUR + 10 * MINUTE)
    extents = reader(tmp_path / "*.csv").extents(("file",))
    assert extents[(("file", "b"),)].fit_end == HOUR + 5 * MINUTE
    extent = reader(tmp_path / "*.csv").extents(())[()]
    assert (extent.fit_start, extent.fit_end) == (HOUR, HOUR + 5 * MINUTE)
    assert (extent.start, extent.end) == (HOUR + 5 * MINUTE, HOUR + 10 * MINUTE)


def test_incidents_are_runs_of_labelled_rows(tmp_path: Path) -> None:
    """Consecutive rows labelled 1 are one incident, cut to the request's span; an unknown row ends it."""
    wide(tmp_path / "a.csv", label=[1, 1, 0, 0, 1, -1, 1, 1, 1, 1])
    source = reader(tmp_path / "a.csv")
    assert isinstance(source, History)
    found = source.incidents(request(8))
    assert found is not None
    minutes = [((one.start - HOUR) / MINUTE, (one.end - HOUR) / MINUTE) for one in found]
    assert minutes == [(0, 2), (4, 5), (6, 8)]
    assert {one.group for one in found} == {group("a")}


def test_no_labels_is_not_the_same_as_no_incidents(tmp_path: Path) -> None:
    """None says that no one has labelled the data, an empty answer that it is all normal."""
    wide(tmp_path / "a.csv")
    assert reader(tmp_path / "a.csv").incidents(request()) is None
    wide(tmp_path / "a.csv", label=[0] * 10)
    assert reader(tmp_path / "a.csv").incidents(request()) == ()


def test_a_pause_in_the_recording_ends_an_incident(tmp_path: Path) -> None:
    """Labelled rows far apart in time are two incidents."""
    path = tmp_path / "a.csv"
    path.write_text("t,cpu,label\n0,1,0\n60,1,1\n120,1,1\n90000,1,1\n90060,1,0\n")
    span = ReadRequest((Query("a", "*"),), pd.Timestamp(0, tz="UTC"), pd.Timestamp(10**14, tz="UTC"), MINUTE)
    found = reader(path).incidents(span)
    assert found is not None and len(found) == 2


def test_files_of_one_group_share_incidents(tmp_path: Path) -> None:
    """Overlapping incidents of files in one group are one; long files name the series to blame."""
    rows = [(name, i, int(first <= i < last)) for name, first, last in (("a", 2, 5), ("b", 4, 7)) for i in range(10)]
    text = "".join(f"{name},{HOUR.value // 10**9 + 60 * i},{i},{label}\n" for name, i, label in rows)
    (tmp_path / "long.csv").write_text("series,t,value,label\n" + text)
    source = reader(tmp_path / "long.csv")
    found = source.incidents(request())
    assert found is not None and len(found) == 1
    assert (found[0].start, found[0].end) == (HOUR + 2 * MINUTE, HOUR + 7 * MINUTE)
    assert found[0].culprits == ("a", "b")
    found = source.incidents(request(groupby=("series",)))
    assert found is not None
    assert [(one.group, one.culprits) for one in found] == [((("series", "a"),), ("a",)), ((("series", "b"),), ("b",))]


def test_culprits_are_named_by_interpretation(tmp_path: Path) -> None:
    """A segment's metrics, counted from 1, are the culprits of the incident that it overlaps, among those asked for."""
    wide(tmp_path / "a.csv", split=[0] * 4 + [1] * 6, label=[0] * 5 + [1, 1, 0, 1, 0])
    names = tmp_path / "culprits.csv"
    names.write_text('series,test_start,test_end,dims_1based\na,1,3,"1,2"\nother,0,1,9\n')
    source = reader(tmp_path / "a.csv", interpretation=names)
    found = source.incidents(request())
    assert found is not None
    assert [one.culprits for one in found] == [("cpu", "mem"), ()]
    found = source.incidents(request(mem="mem"))
    assert found is not None and found[0].culprits == ("mem",)


@pytest.mark.parametrize("rows", ["a,1,9,1", "a,1,3,9", "a,1,3,0", "a,3,1,1", "a,x,3,1", "a,1,3", "a,1"])
def test_a_wrong_interpretation_is_reported(tmp_path: Path, rows: str) -> None:
    """Rows or metrics that do not exist, and lines that are no numbers, are errors with the file's name."""
    wide(tmp_path / "a.csv", split=[0] * 4 + [1] * 6, label=[0] * 5 + [1, 1, 0, 1, 0])
    names = tmp_path / "culprits.csv"
    names.write_text(f"series,test_start,test_end,dims_1based\n{rows}\n")
    with pytest.raises(SourceError) as caught:
        reader(tmp_path / "a.csv", interpretation=names).incidents(request())
    assert caught.value.reason == "bad_data"
    with pytest.raises(SourceError, match=r"none\.csv: cannot be read"):
        reader(tmp_path / "a.csv", interpretation=tmp_path / "none.csv").incidents(request())


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the labelled data beside the checkout is absent")
def test_server_machines_with_their_culprits() -> None:
    """Every labelled incident of the server machines lies in the span to score and names its metrics."""
    source = reader(DATA / "smd" / "machine-*.parquet", interpretation=DATA / "smd" / "interpretation.csv")
    extent = source.extents(())[()]
    found = source.incidents(ReadRequest((Query("all", "*"),), extent.start, extent.end, MINUTE, ("file",)))
    assert found is not None
    segments = pd.read_csv(DATA / "smd" / "interpretation.csv")
    assert sum(bool(one.culprits) for one in found) == len(segments)
    assert [one.group for one in found if not one.culprits] == [group("machine-1-3")]  # one that no person explained
    first = next(one for one in found if one.group == group("machine-1-2"))
    assert first.end - first.start == (4688 - 4629) * MINUTE
    assert len(first.culprits) == 6


def test_files_of_other_groups_are_not_opened(tmp_path: Path) -> None:
    """Only those of the wanted groups are parsed: one that is damaged spoils the reading of its own group alone."""
    wide(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("t,cpu\nsoon,1\n")
    source = reader(tmp_path / "*.csv")
    found = source.read(replace(request(), groups=frozenset({group("a")})))
    assert (list(found.frames), found.warnings) == ([group("a")], ())
    with pytest.raises(SourceError, match=r"b\.csv"):
        source.read(replace(request(), groups=frozenset({group("b")})))
    assert not source.read(replace(request(), groups=frozenset({group("c")}))).frames


def test_a_query_that_fits_another_group_is_no_mistake(tmp_path: Path) -> None:
    """A reading of some groups does not warn of queries for the others' metrics; one of all groups does."""
    wide(tmp_path / "a.csv")
    wide(tmp_path / "b.csv", disk=[1.0] * 10)
    source, asked = reader(tmp_path / "*.csv"), request(disk="disk", nothing="nothing")
    assert source.read(replace(asked, groups=frozenset({group("a")}))).warnings == ()
    assert len(source.read(asked).warnings) == 1
