from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.attribution import hit_rate, main, measure, pca, rank, summary, zscore
from benchmarks.attribution_cases import SETS, Case, Incident

MINUTE = pd.Timedelta("1min")


def _normal(rows: int, metrics: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = np.sin(np.arange(rows) / 7)[:, None] * rng.normal(size=metrics)
    return np.asarray(shared + 0.1 * rng.normal(size=(rows, metrics)), np.float32)


def _smd(folder: Path) -> None:
    """Two machines of four metrics with two incidents each, in which metrics 2, or 1 and 4, are far off."""
    (folder / "smd").mkdir(parents=True)
    truths = []
    for machine in ("machine-9-1", "machine-9-2"):
        values = _normal(500, 4)
        for start, end, dims in ((340, 344, "2"), (420, 425, "1,4")):
            for k in dims.split(","):
                values[start:end, int(k) - 1] += 20
            truths.append({"series": machine, "test_start": start - 300, "test_end": end - 300, "dims_1based": dims})
        table = pd.DataFrame(values, columns=list("abcd"))
        table.insert(0, "t", np.arange(500) * 60)
        table["split"] = (np.arange(500) >= 300).astype(int)
        table["label"] = 0
        table.to_parquet(folder / "smd" / f"{machine}.parquet")
    pd.DataFrame(truths).to_csv(folder / "smd" / "interpretation.csv", index=False)


def test_hit_rate_is_that_of_the_paper() -> None:
    """Of the true dimensions, the share found in the first floor(P% of their number) of the ranking."""
    ranking = [6, 5, 1, 4, 3, 2]
    assert hit_rate(ranking, [6, 2], 100) == 0.5
    assert hit_rate(ranking, [6, 5, 4, 2], 100) == 0.75
    assert hit_rate(ranking, [6, 5, 4, 2], 150) == 1.0
    assert hit_rate(ranking, [5], 150) == 0.0  # floor(1.5) is 1: a single culprit must lead


def test_ranking_breaks_ties_in_order() -> None:
    """The largest first; equal ones, and those without a number, in the order of the metrics."""
    assert rank(np.array([0.0, 2.0, np.nan, 3.0, 2.0])) == [3, 1, 4, 0, 2]


def test_observations_are_averaged_over_all_rows() -> None:
    """A long segment counts by its rows per observation, and once per segment."""
    table = summary([{"rows": 1, "event@100": 1.0, "row@100": 1.0}, {"rows": 3, "event@100": 0.0, "row@100": 0.0}])
    assert table == {"incidents": 2.0, "event@100": 0.5, "row@100": 0.25}


@pytest.mark.parametrize("method", [zscore, pca])
@pytest.mark.parametrize("owned", [False, True])
def test_baselines_find_the_obvious(method: object, owned: bool) -> None:
    """A metric ten deviations off is found, and so is the owner it belongs to; metrics of no owner stay out."""
    train, values = _normal(400, 4), _normal(40, 4, seed=1)
    values[30:33, 2] += 10
    owners = ("x", "y", "z", None) if owned else None
    truth = ("z",) if owned else ("c",)
    case = Case("s", MINUTE, train, tuple("abcd"), owners, (Incident(values, 30, 33, truth),))
    record = measure(case, method(case))[0]  # type: ignore[operator]
    expected = {"event_top1", "mean_top1"} if owned else {"event@100", "mean@100", "row@100"}
    assert {key for key, value in record.items() if key.endswith(("top1", "@100")) and value == 1.0} == expected


def test_smd_segments_end_before_their_end(tmp_path: Path) -> None:
    """Segments are cut with their context, without the row at their end, and dimensions count from 1."""
    _smd(tmp_path)
    case = next(iter(SETS["smd"](tmp_path, "machine-9-1", 8)))
    assert [(len(i.inside), i.truth) for i in case.incidents] == [(4, ("b",)), (5, ("a", "d"))]
    assert (case.incidents[0].inside[:, 1] > 15).all()
    assert (case.incidents[0].values[: case.incidents[0].first, 1] < 15).all()
    assert len(case.train) == 300


def test_command_writes_a_table_and_keeps_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a folder to figures: every method beside the baselines; models are kept and loaded the next time."""
    _smd(tmp_path)
    out, models = tmp_path / "r.json", tmp_path / "models"
    words = ["--data", str(tmp_path), "--out", str(out), "--sets", "smd", "--series", "machine-9-2"]
    words += ["--fit-steps", "10", "--models", str(models)]
    assert main(words) == 0
    first = json.loads(out.read_text())
    assert {row["method"] for row in first["table"]} == {"zscore", "pca", "stream", "batch"}
    assert {row["incidents"] for row in first["table"]} == {2.0}
    assert len(first["incidents"]) == 8
    assert all(
        0 <= row[f"{how}@{p}"] <= 1 for row in first["table"] for how in ("event", "mean", "row") for p in (100, 150)
    )
    assert "zscore" in capsys.readouterr().out
    assert [path.name for path in models.iterdir()] == ["smd:machine-9-2.0"]
    assert main(words) == 0
    assert json.loads(out.read_text()) == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sets", "smd,titanic"], "there is no set named titanic; known are smd, nezha, petshop, sockshop"),
        (["--sets", "nezha"], "faults.csv: cannot be read"),
        (["--sets", "smd", "--series", "machine-7-*"], "no series of smd has that name"),
        (["--sets", "smd", "--fit-steps", "1"], "fit_steps"),
    ],
)
def test_bad_input_is_said_and_exits_2(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that cannot be used is named on stderr, without a traceback and without a result file."""
    _smd(tmp_path)
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "r.json"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()
