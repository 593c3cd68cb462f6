"""Folders become tasks: kinds of table, protocols, faults of the data, and what is wrong with a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.data import load_tasks
from tsdiff_monitor.errors import DataError

MakeTable = Callable[..., pd.DataFrame]


def long_table(**columns: Sequence[object]) -> pd.DataFrame:
    rows = len(columns["value"])
    table = {"series": ["x"] * rows, "t": list(range(0, 60 * rows, 60)), "label": [0] * rows, **columns}
    return pd.DataFrame(table)


def test_official_fits_on_split_0_and_scores_split_1(folder: Path) -> None:
    """Both machines, in order, with 300 rows on each side, three metrics and the labels of the test half."""
    tasks = list(load_tasks(folder))
    assert [task.series for task in tasks] == ["a", "b"]
    assert tasks[0].train.shape == tasks[0].test.shape == (300, 3)
    assert tasks[0].labels.sum() == 10
    assert tasks[0].step_seconds == 60.0


def test_prefix_fits_on_the_first_rows_of_the_test_half(folder: Path, lengths: Path) -> None:
    """The machine that the CSV names, fit on 100 rows of what is scored, with the published values."""
    (task,) = load_tasks(folder, "prefix", prefix_lengths=lengths)
    assert task.series == "a"
    np.testing.assert_array_equal(task.train, task.test[:100])
    assert len(task.test) == 300
    assert task.published == {"PCA": 0.25, "CNN": 0.75}


def test_cross_fits_each_file_and_scores_the_other(folder: Path, make_table: MakeTable) -> None:
    """Both ways, on the metrics both have, all rows."""
    make_table(1, metrics=2).to_parquet(folder / "b.parquet")
    tasks = list(load_tasks(folder, "cross"))
    assert [task.series for task in tasks] == ["b by a", "a by b"]
    assert all(task.train.shape == task.test.shape == (600, 2) for task in tasks)
    np.testing.assert_array_equal(tasks[0].train, tasks[1].test)


def test_a_long_table_is_one_task_per_series(tmp_path: Path) -> None:
    """With a split as marked; the glob picks series by name."""
    both = pd.concat(
        [long_table(value=[1.0, 2.0, 3.0, 4.0], split=[0, 1, 1, 1]).assign(series=s) for s in ("p/x", "p/y")]
    )
    both.to_parquet(tmp_path / "all.parquet")
    assert [task.series for task in load_tasks(tmp_path)] == ["p/x", "p/y"]
    (task,) = load_tasks(tmp_path, series="*y")
    assert task.train.tolist() == [[1.0]]
    assert task.test.tolist() == [[2.0], [3.0], [4.0]]


def test_without_a_split_the_first_half_is_fit(tmp_path: Path) -> None:
    """Half the rows each."""
    long_table(value=[1.0, 2.0, 3.0, 4.0]).to_parquet(tmp_path / "all.parquet")
    (task,) = load_tasks(tmp_path)
    assert (task.train.tolist(), task.test.tolist()) == ([[1.0], [2.0]], [[3.0], [4.0]])


def test_duplicates_and_gaps_become_a_regular_grid(tmp_path: Path) -> None:
    """Of two rows with one time the first stays; a gap is a missing value without a label; infinities are missing."""
    times = [0, 60, 120, 120, 180, 300, 360, 420]
    values = [1.0, 2.0, 3.0, 99.0, 4.0, 6.0, float("inf"), 8.0]
    long_table(value=values, t=times, split=[1] * 8, label=[0, 0, 1, 0, 0, 0, 0, 0]).to_parquet(tmp_path / "x.parquet")
    train = long_table(value=[1.0, 2.0], t=[-120, -60], split=[0, 0])
    pd.concat([train, pd.read_parquet(tmp_path / "x.parquet")]).to_parquet(tmp_path / "x.parquet")
    (task,) = load_tasks(tmp_path)
    np.testing.assert_array_equal(task.test[:, 0], [1, 2, 3, 4, np.nan, 6, np.nan, 8])
    assert task.labels.tolist() == [0, 0, 1, 0, -1, 0, 0, 0]


def test_labels_of_training_rows_are_not_read(folder: Path) -> None:
    """Labels of any kind, the task is the same."""
    before = next(load_tasks(folder))
    table = pd.read_parquet(folder / "a.parquet")
    table.loc[table["split"] == 0, "label"] = 1
    table.to_parquet(folder / "a.parquet")
    after = next(load_tasks(folder))
    np.testing.assert_array_equal(before.train, after.train)
    np.testing.assert_array_equal(before.labels, after.labels)


def test_wrong_folders_say_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    """A missing or empty folder, a glob without a match, no prefix lengths, a single file to cross."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no such folder"):
        list(load_tasks(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no Parquet file"):
        list(load_tasks(empty))
    with pytest.raises(DataError, match="--prefix-lengths"):
        list(load_tasks(folder, "prefix"))
    with pytest.raises(DataError, match="no series has a name that matches 'z\\*'"):
        list(load_tasks(folder, series="z*"))
    (folder / "b.parquet").unlink()
    with pytest.raises(DataError, match="there is only one"):
        list(load_tasks(folder, "cross"))


def test_wrong_files_say_what_is_wrong(folder: Path, make_table: MakeTable) -> None:
    """No Parquet, no label column, a text column, a table that is no series, no training rows."""
    table = make_table()
    for data, words in [
        (table.drop(columns="label"), "lacks the columns label"),
        (table.assign(run="x"), "not: run"),
        (table.assign(t=table["t"] + 10**7 * (np.arange(600) > 400)), "mostly 60 s apart but span"),
        (table.assign(split=1), "has no training rows"),
    ]:
        data.to_parquet(folder / "a.parquet")
        with pytest.raises(DataError, match=words):
            list(load_tasks(folder, series="a"))
    (folder / "a.parquet").write_text("not a table")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        list(load_tasks(folder))


def test_wrong_prefix_lengths_say_what_is_wrong(folder: Path, tmp_path: Path, lengths: Path) -> None:
    """A missing file, missing columns, no machine of the folder."""
    with pytest.raises(DataError, match="not a readable CSV"):
        list(load_tasks(folder, "prefix", prefix_lengths=tmp_path / "no.csv"))
    lengths.write_text("machine,rows\na,3\n")
    with pytest.raises(DataError, match="lacks the columns train_rows"):
        list(load_tasks(folder, "prefix", prefix_lengths=lengths))
    lengths.write_text("machine,train_rows\nz,3\n")
    with pytest.raises(DataError, match="no series among the machines of"):
        list(load_tasks(folder, "prefix", prefix_lengths=lengths))
