"""``python -m benchmarks.accuracy`` from end to end, on two tiny machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.accuracy import main
from benchmarks.data import Task, load_tasks
from benchmarks.evaluation import Results, evaluate, run

FAST = "random,zscore,pca"
FIELDS = {"series", "method", "vus_pr", "auc_pr", "best_f1", "fit_seconds", "score_seconds", "rows", "metrics"}

Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def bench(folder: Path, tmp_path: Path) -> Run:
    """Runs the command on ``folder``; returns its status and the records it left."""

    def call(*options: object, methods: str = FAST) -> tuple[int, list[dict[str, Any]]]:
        out = tmp_path / "out" / "r.json"
        given = ["--data", folder, "--out", out, "--methods", methods, *options]
        status = main([str(option) for option in given])
        return status, json.loads(out.read_text()) if out.exists() else []

    return call


def test_one_record_per_series_method_and_seed(bench: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With the promised fields; only seeded methods run more than once; the tables name every method and the mean."""
    status, records = bench("--seeds", 2)
    assert status == 0
    assert [(r["series"], r["method"], r["seed"]) for r in records if r["series"] == "b"] == [
        ("b", "random", 0), ("b", "random", 1), ("b", "zscore", 0), ("b", "pca", 0),
    ]  # fmt: skip
    assert all(set(record) >= FIELDS for record in records)
    zscore = next(r for r in records if r["method"] == "zscore")
    assert zscore["vus_pr"] > 0.9
    assert (zscore["rows"], zscore["train_rows"], zscore["metrics"]) == (300, 300, 3)
    assert (zscore["segments"], zscore["segments_found_at_1_per_week"], zscore["delay_rows"]) == (1, 1, 0.0)
    printed = capsys.readouterr().out
    assert "VUS-PR, data, official protocol" in printed
    assert all(f"\n{name} " in printed for name in ("mean", "random", "zscore", "pca"))


def test_an_interrupted_run_is_resumed(bench: Run, tmp_path: Path) -> None:
    """Results in the file are kept as they are, missing or failed ones are measured, nothing twice."""
    bench(methods="zscore")
    path = tmp_path / "out" / "r.json"
    kept = json.loads(path.read_text())
    kept[0]["vus_pr"] = 0.123
    kept[1]["error"] = "MemoryError: none left"
    path.write_text(json.dumps(kept))
    status, records = bench("--resume", methods="zscore,pca")
    assert status == 0
    assert sorted((r["series"], r["method"]) for r in records) == [(s, m) for s in "ab" for m in ("pca", "zscore")]
    assert records[0]["vus_pr"] == 0.123
    assert not any("error" in record for record in records)


def test_without_resume_the_file_is_replaced(bench: Run) -> None:
    """Only what this run measured is in it."""
    bench(methods="zscore")
    assert {record["method"] for record in bench(methods="pca")[1]} == {"pca"}


def test_the_file_is_whole_after_every_record(folder: Path, tmp_path: Path) -> None:
    """A reader at any moment finds all records so far."""
    results, seen = Results(tmp_path / "r.json", "official"), []
    report = lambda _record: seen.append(len(json.loads(results.path.read_text())))  # noqa: E731
    run(load_tasks(folder), results, ["zscore", "pca"], seeds=1, jobs=1, report=report)
    assert seen == [1, 2, 3, 4]


def test_a_method_that_fails_on_a_series_stops_nothing(tmp_path: Path) -> None:
    """The record says what occurred and is tried again by a resumed run."""
    short = Task("short", np.zeros((5, 1), np.float32), np.zeros((9, 1), np.float32), np.array([0] * 8 + [1]), 60.0)
    record = evaluate(short, "official", "diffusion", 0)
    assert record["vus_pr"] is None
    assert "ShortHistoryError: fitting needs at least one window" in record["error"]
    results = Results(tmp_path / "r.json", "official")
    results.add(record)
    assert not Results.open(results.path, "official", resume=True).has("short", "diffusion", 0)


def test_failures_are_reported_and_give_status_1(
    bench: Run, folder: Path, capsys: pytest.CaptureFixture[str], make_table: Callable[..., Any]
) -> None:
    """The tables come all the same."""
    make_table(3).iloc[290:].to_parquet(folder / "c.parquet")
    status, records = bench("--series", "c", methods="zscore,diffusion")
    assert status == 1
    assert [("error" in record) for record in records] == [False, True]
    printed = capsys.readouterr()
    assert "failed: c, diffusion: ShortHistoryError" in printed.err
    assert "VUS-PR" in printed.out


def test_processes_give_what_one_gives(bench: Run) -> None:
    """The order aside, two processes measure the same."""

    def values(records: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
        return {(r["series"], r["method"]): r["vus_pr"] for r in records}

    assert values(bench("--jobs", 2)[1]) == values(bench()[1])


def test_prefix_prints_published_values_beside_ours(
    bench: Run, lengths: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Per series PCA and the best; the best single method and the oracle below."""
    status, records = bench("--protocol", "prefix", "--prefix-lengths", lengths)
    assert status == 0
    assert {record["series"] for record in records} == {"a"}
    assert records[0]["published"] == {"PCA": 0.25, "CNN": 0.75}
    printed = capsys.readouterr().out
    assert "published PCA" in printed
    assert "best single method CNN 0.750; best of 2 methods for each series (oracle) 0.750" in printed


def test_cross_runs_both_ways(bench: Run) -> None:
    """Two series."""
    assert {record["series"] for record in bench("--protocol", "cross")[1]} == {"a by b", "b by a"}


def test_the_plot_is_a_picture(bench: Run, tmp_path: Path) -> None:
    """PNG, of one seed and of two."""
    for seeds in (1, 2):
        picture = tmp_path / f"{seeds}.png"
        bench("--plot", picture, "--seeds", seeds)
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_series_without_anomalies_are_no_mean(
    bench: Run, folder: Path, make_table: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone they leave nothing to compare; beside others they are left out of the means."""
    make_table(2).assign(label=0).to_parquet(folder / "c.parquet")
    status, records = bench("--series", "c")
    assert (status, records[0]["vus_pr"]) == (0, None)
    assert "nothing to compare" in capsys.readouterr().out
    bench(methods="zscore")
    assert "\nc " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere"], "no such folder"),
        (["--methods", "nonsense"], "no method nonsense"),
        (["--protocol", "prefix"], "--prefix-lengths"),
        (["--series", "z"], "no series has a name"),
        (["--plot", "."], "this is a folder"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    bench: Run, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong, and leaves no file."""
    status, records = bench(*options)
    assert (status, records) == (2, [])
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("benchmarks.accuracy: ")
    assert error.count("\n") == 1


def test_a_folder_without_tables_is_wrong_input(bench: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As is a file to resume that is something else, or of another protocol."""
    bench(methods="zscore")
    assert bench("--resume", "--protocol", "cross")[0] == 2
    assert "holds results of the official protocol" in capsys.readouterr().err
    for path in folder.glob("*.parquet"):
        path.unlink()
    assert bench()[0] == 2
    assert "holds no Parquet file" in capsys.readouterr().err


def test_only_a_result_file_can_be_resumed(bench: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is left alone."""
    path = tmp_path / "out" / "r.json"
    path.parent.mkdir()
    path.write_text('{"a": 1}')
    assert bench("--resume")[0] == 2
    assert path.read_text() == '{"a": 1}'
    assert "not a result file" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--seeds", "0"], ["--jobs", "-1"], ["--seeds", "x"], ["--protocol", "other"]])
def test_wrong_options_end_with_status_2(bench: Run, option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage, as every command does."""
    with pytest.raises(SystemExit) as ended:
        bench(*option)
    assert ended.value.code == 2
    assert "usage: python -m benchmarks.accuracy" in capsys.readouterr().err
