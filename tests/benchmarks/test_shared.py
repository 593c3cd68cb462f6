"""The benchmark of shared networks: a small run from files to table, and input that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.shared import main


@pytest.fixture
def against(tmp_path: Path) -> Path:
    """A result file of the accuracy benchmark with two seeds for ``a``, one for ``b``, and another method."""
    path = tmp_path / "accuracy.json"
    rows = [("a", "diffusion", 0.4), ("a", "diffusion", 0.6), ("b", "diffusion", 0.25), ("a", "pca", 0.9)]
    path.write_text(json.dumps([{"series": s, "method": m, "vus_pr": v} for s, m, v in rows]))
    return path


def test_seen_and_unseen_series_have_their_records(
    folder: Path, tmp_path: Path, against: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One network is fit on what is not left out; every series is scored and compared with its own model's mean."""
    out = tmp_path / "out.json"
    asked = ["--unseen", "b", "--fit-steps", "10", "--against", str(against)]
    assert main(["--data", str(folder), "--out", str(out), *asked]) == 0
    fit, a, b = json.loads(out.read_text())
    assert (fit["fit_on"], fit["steps"]) == (1, 10)
    assert [(r["series"], r["seen"], r["alone"]) for r in (a, b)] == [("a", True, 0.5), ("b", False, 0.25)]
    assert all(0 <= r["vus_pr"] <= 1 and r["serve_seconds"] >= 0 for r in (a, b))
    table = capsys.readouterr().out
    assert f"| b | no | {b['vus_pr']:.3f} | 0.250 | {b['vus_pr'] / 0.25:.0%} |" in table
    assert "One network fit on 1 series" in table
    assert all(f"mean, {words}" in table for words in ("all 2", "seen 1", "unseen 1"))


def test_adaptation_and_no_comparison(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--against`` the share is left empty; steps of adaptation are taken."""
    out = tmp_path / "out.json"
    asked = ["--fit-steps", "10", "--adapt-steps", "2", "--series", "a"]
    assert main(["--data", str(folder), "--out", str(out), *asked]) == 0
    assert json.loads(out.read_text())[1]["alone"] is None
    assert "mean, all 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--unseen", "*"], "leaves no series to fit on"),
        (["--unseen", "machine-9"], "no series has such a name"),
        (["--against", "nowhere.json"], "not a result file of benchmarks.accuracy"),
        (["--series", "zz"], "no series has a name that matches"),
    ],
)
def test_wrong_input(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str], message: str
) -> None:
    """Nothing is fit: status 2 and a line that says what is wrong."""
    assert main(["--data", str(folder), "--out", str(tmp_path / "out.json"), *asked]) == 2
    assert message in capsys.readouterr().err


def test_a_method_without_results_is_named(
    folder: Path, tmp_path: Path, against: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison with nothing is refused before the fit."""
    asked = ["--against", str(against), "--method", "cnn"]
    assert main(["--data", str(folder), "--out", str(tmp_path / "out.json"), *asked]) == 2
    assert "no result of the method 'cnn'" in capsys.readouterr().err
