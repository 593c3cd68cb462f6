"""The contamination benchmark: a small run from files to table, and input that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.contamination import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One machine of three metrics with a common course; in the test half, one metric leaves it for 40 rows."""
    rng = np.random.default_rng(0)
    T = 800
    course = np.sin(np.arange(T) / 20)[:, None]
    values = course + 0.1 * rng.standard_normal((T, 3))
    label = np.zeros(T, dtype=int)
    label[600:640] = 1
    values[600:640, 0] += 3.0
    data = pd.DataFrame(values, columns=["a", "b", "c"])
    data["t"], data["label"], data["split"] = np.arange(T) * 60, label, np.arange(T) >= T // 2
    (tmp_path / "data").mkdir()
    data.astype({"split": int}).to_parquet(tmp_path / "data" / "machine.parquet")
    return tmp_path / "data"


def test_every_share_and_method_has_its_record(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The records say how much was contaminated; the table has the mean of each method at each share."""
    out = tmp_path / "out.json"
    asked = ["--shares", "0,0.1", "--seeds", "2", "--methods", "zscore,pca,random"]
    assert main(["--data", str(folder), "--out", str(out), *asked]) == 0
    records = json.loads(out.read_text())
    # A clean history is the same for every seed, so only a method with a seed of its own is fit twice on it.
    assert [(r["share"], r["seed"], r["method"]) for r in records] == [
        (0, 0, "zscore"), (0, 0, "pca"), (0, 0, "random"), (0, 1, "random"),
        (0.1, 0, "zscore"), (0.1, 0, "pca"), (0.1, 0, "random"),
        (0.1, 1, "zscore"), (0.1, 1, "pca"), (0.1, 1, "random"),
    ]  # fmt: skip
    for record in records:
        assert 0 <= record["vus_pr"] <= 1
        assert record["contaminated"] <= record["share"]
        assert (record["contaminated"] > 0.05) == (record["share"] > 0)
        assert (record["incidents"] > 0) == (record["share"] > 0)
    table = capsys.readouterr().out
    assert all(word in table for word in ("zscore", "pca", "random", "0 %", "10 %", "kept"))


def test_the_detector_takes_the_steps_asked_for(folder: Path, tmp_path: Path) -> None:
    """A smoke run of the detector is as short as ``--fit-steps`` makes it."""
    out = tmp_path / "out.json"
    asked = ["--shares", "0.05", "--methods", "diffusion", "--fit-steps", "10"]
    assert main(["--data", str(folder), "--out", str(out), *asked]) == 0
    (record,) = json.loads(out.read_text())
    assert (record["method"], record["share"]) == ("diffusion", 0.05)
    assert 0 < record["vus_pr"] <= 1


def test_the_clean_share_is_the_plain_method(folder: Path, tmp_path: Path) -> None:
    """With nothing injected a method is fit on the rows as they are: twice the same figure."""
    figures = []
    for name in ("a.json", "b.json"):
        assert main(["--data", str(folder), "--out", str(tmp_path / name), "--shares", "0", "--methods", "pca"]) == 0
        figures.append(json.loads((tmp_path / name).read_text())[0]["vus_pr"])
    assert figures[0] == figures[1] > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shares", "0,much"], "must be numbers"),
        (["--shares", "0.7"], "0.7 is not a share from 0 to 0.5"),
        (["--methods", "magic"], "there is no method magic"),
        (["--methods", ","], "no method is named"),
        (["--series", "other-*"], "no series"),
        (["--data", "nowhere"], "there is no such folder"),
    ],
)
def test_wrong_input_says_what_to_fix(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Exit status 2, one line on stderr, and no result file."""
    out = tmp_path / "out.json"
    assert main(["--data", str(folder), "--out", str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_wrong_numbers_end_the_run_at_once(folder: Path, tmp_path: Path) -> None:
    """Argument errors have exit status 2, as every command's."""
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(folder), "--out", str(tmp_path / "o.json"), "--fit-steps", "0"])
    assert ended.value.code == 2
