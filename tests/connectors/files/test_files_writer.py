"""Scores are stored in files, once, and can be read back."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tsdiff_connectors.files import FilesWriter
from tsdiff_monitor.errors import WriteError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import WriterConformance, example_batch
from tsdiff_monitor.timeseries.scores import ScoreBatch
from tsdiff_monitor.timeseries.tables import read_table


def writer(path: Path, **config: Any) -> FilesWriter:
    """A writer into this folder."""
    return FilesWriter(FilesWriter.Config(path=path, **config), Context())


def parts(folder: Path) -> list[Path]:
    """Every file below the folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


class TestParquet(WriterConformance):
    """The promises of every writer, kept with Parquet files."""

    config: dict[str, str] = {}  # noqa: RUF012 (not changed)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "scores"
        (tmp_path / "file").touch()

    def make(self) -> FilesWriter:
        return writer(self.path, **self.config)

    def stored(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in parts(self.path)}

    def broken(self) -> FilesWriter:
        return writer(self.path.with_name("file") / "scores", **self.config)


class TestCsv(TestParquet):
    """The promises of every writer, kept with CSV files."""

    config = {"format": "csv"}  # noqa: RUF012 (not changed)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_what_is_written_can_be_read(tmp_path: Path, kind: str) -> None:
    """Times, scores, values, shares and the band come back as they went, gaps included."""
    batch = example_batch(missing=0.2)
    writer(tmp_path, format=kind).write(batch)
    (path,) = parts(tmp_path)
    read = read_table(path)
    assert read.times_ns.tolist() == batch.frame.times.asi8.tolist()
    columns = dict(zip(read.names, read.values.T, strict=True))
    assert batch.expected is not None
    expected = {"anomaly_score": batch.scores.score}
    for k, name in enumerate(batch.frame.names):
        expected[f"y.{name}"] = batch.frame.values[:, k]
        expected[f"attribution.{name}"] = batch.scores.attribution[:, k]
        expected[f"yhat.{name}"] = batch.expected.yhat[:, k]
        expected[f"yhat_lower.{name}"] = batch.expected.yhat_lower[:, k]
        expected[f"yhat_upper.{name}"] = batch.expected.yhat_upper[:, k]
    assert set(columns) == set(expected)
    for name, values in expected.items():
        assert np.array_equal(columns[name], values.astype(np.float32), equal_nan=True), name


def test_a_part_per_day(tmp_path: Path) -> None:
    """Rows go to the file of their UTC day, times as whole Unix seconds."""
    writer(tmp_path).write(example_batch(start="2024-05-01T23:55:00Z"))
    assert [path.name for path in parts(tmp_path)] == ["2024-05-01.parquet", "2024-05-02.parquet"]
    table = pq.ParquetFile(parts(tmp_path)[1]).read()
    assert str(table.schema.field("t").type) == "int64"
    assert table.column("t")[0].as_py() == pd.Timestamp("2024-05-02", tz="UTC").timestamp()
    assert b"instance" in table.schema.metadata[b"tsdiff_monitor.scores"]


def test_newer_rows_replace_older_ones(tmp_path: Path) -> None:
    """Rows that overlap are stored once, with the newer values; metrics may come and go."""
    target = writer(tmp_path)
    target.write(example_batch(expected=False))
    target.write(example_batch(start="2024-05-01T00:05:00Z", names=("cpu", "disk"), seed=3, expected=False))
    (path,) = parts(tmp_path)
    read = read_table(path)
    assert len(read) == 15
    assert set(read.names) >= {"y.memory", "y.disk"}
    assert np.isnan(read.values[:5, read.names.index("y.disk")]).all()
    assert np.isnan(read.values[5:, read.names.index("y.memory")]).all()


def test_unchanged_rows_do_not_touch_the_file(tmp_path: Path) -> None:
    """Writing what is there leaves even the file's time alone."""
    target = writer(tmp_path)
    target.write(example_batch())
    (path,) = parts(tmp_path)
    before = path.stat()
    target.write(example_batch())
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_fractions_of_seconds(tmp_path: Path) -> None:
    """Rows less than a second apart stay apart, and are found again."""
    target = writer(tmp_path)
    target.write(example_batch(step="100ms"))
    target.write(example_batch(step="100ms"))
    (path,) = parts(tmp_path)
    read = read_table(path)
    assert len(read) == 10
    assert read.step == pd.Timedelta("100ms")


def test_names_stay_in_the_folder(tmp_path: Path) -> None:
    """No monitor or group name leads out of the folder, nor makes a name too long for the file system."""
    inside = tmp_path / "inside"
    target = writer(inside)
    target.write(example_batch(monitor="../../evil", group=(("path", "/etc/passwd"),)))
    target.write(example_batch(monitor="..", group=(("path", "x" * 1000),)))
    target.write(example_batch(monitor="hosts", group=()))
    assert len(parts(inside)) == 3
    assert parts(tmp_path) == parts(inside)
    assert (inside / "hosts" / "all" / "2024-05-01.parquet").exists()


def test_a_damaged_part_is_not_overwritten(tmp_path: Path) -> None:
    """Scores that cannot be read are left for a person to look at, with the remedy in the error."""
    target = writer(tmp_path)
    target.write(example_batch())
    (path,) = parts(tmp_path)
    path.write_bytes(b"damaged")
    with pytest.raises(WriteError, match="move the file away") as caught:
        target.write(example_batch())
    assert (caught.value.reason, caught.value.recoverable) == ("damaged", False)
    assert path.read_bytes() == b"damaged"


@pytest.mark.parametrize(
    ("code", "reason", "recoverable"),
    [(errno.ENOSPC, "disk_full", True), (errno.EACCES, "denied", False), (errno.EIO, "io", True)],
)
def test_why_a_write_failed(tmp_path: Path, code: int, reason: str, recoverable: bool) -> None:
    """A full disk or a failing one may recover, missing permissions need a person; the old part stays whole."""
    writer(tmp_path).write(example_batch())
    (path,) = parts(tmp_path)
    before = path.read_bytes()

    class Failing(FilesWriter):
        def _store(self, rows: pd.DataFrame, path: Path, batch: ScoreBatch) -> None:
            path.write_bytes(b"half")
            raise OSError(code, "no")

    with pytest.raises(WriteError) as caught:
        Failing(FilesWriter.Config(path=tmp_path), Context()).write(example_batch(start="2024-05-01T00:10:00Z"))
    assert (caught.value.reason, caught.value.recoverable) == (reason, recoverable)
    assert parts(tmp_path) == [path]
    assert path.read_bytes() == before
