"""``tsdiff-monitor score``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

METRICS = ("cpu", "io", "net")
FAST = ("--fit-steps", 10)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def short(table: pd.DataFrame) -> pd.DataFrame:
    """The last 120 rows, with the incident at rows 50 to 60: scored in a moment."""
    return table[300:].reset_index(drop=True)


@pytest.fixture
def normal(tmp_path: Path, table: pd.DataFrame) -> Path:
    """History without the incident."""
    path = tmp_path / "normal.parquet"
    table[200:300].to_parquet(path, index=False)
    return path


@pytest.fixture
def today(tmp_path: Path, table: pd.DataFrame) -> Path:
    """The rows after it, with the incident at its rows 50 to 60."""
    path = tmp_path / "today.parquet"
    table[300:].to_parquet(path, index=False)
    return path


def test_fit_on_one_table_score_another(cli: Any, normal: Path, today: Path, tmp_path: Path) -> None:
    """A row per time of the input with its ``t``, and a score that is highest in the incident."""
    outcome = cli("score", "--train", normal, "--input", today, "--output", tmp_path / "s.parquet", *FAST)
    assert (outcome.code, outcome.out) == (0, "")
    assert f"{tmp_path / 's.parquet'}: 120 rows scored" in outcome.err
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert list(scores) == ["t", "anomaly_score"]
    assert scores["t"].tolist() == pd.read_parquet(today)["t"].tolist()
    assert scores["t"].dtype == np.int64
    assert (scores["anomaly_score"] >= 0).all()
    assert scores["anomaly_score"].idxmax() in range(45, 66)
    assert scores["anomaly_score"].max() > 1


def test_series_of_every_metric(cli: Any, normal: Path, today: Path, tmp_path: Path) -> None:
    """``--provide-series`` adds expected value, band and attribution, each in order and finite."""
    output = tmp_path / "s.parquet"
    outcome = cli("score", "--train", normal, "--input", today, "--output", output, "--provide-series", *FAST)
    assert outcome.code == 0
    scores = pd.read_parquet(output)
    parts = [f"{part}.{name}" for name in METRICS for part in ("yhat", "yhat_lower", "yhat_upper", "attribution")]
    assert list(scores) == ["t", "anomaly_score", *parts]
    for name in METRICS:
        assert (scores[f"yhat_lower.{name}"] <= scores[f"yhat.{name}"]).all()
        assert (scores[f"yhat.{name}"] <= scores[f"yhat_upper.{name}"]).all()
    shares = scores[[f"attribution.{name}" for name in METRICS]].sum(axis=1)
    np.testing.assert_allclose(shares, 1.0, rtol=1e-5)


def test_without_train_the_rows_with_split_0_are_fit_on(
    cli: Any, normal: Path, today: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    """The same model as with those rows in a file of their own; every row of the input is scored."""
    table = table[200:].copy()
    table["split"] = (np.arange(len(table)) >= 100).astype(int)
    table.to_parquet(tmp_path / "both.parquet", index=False)
    cli("score", "--input", tmp_path / "both.parquet", "--output", tmp_path / "a.parquet", *FAST)
    table.drop(columns="split").to_parquet(tmp_path / "plain.parquet", index=False)
    cli("score", "--train", normal, "--input", tmp_path / "plain.parquet", "--output", tmp_path / "b.parquet", *FAST)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == len(table)


def test_without_any_split_the_whole_input_is_fit_on(cli: Any, today: Path, tmp_path: Path) -> None:
    """The user is warned."""
    outcome = cli("score", "--input", today, "--output", tmp_path / "s.csv", *FAST)
    assert outcome.code == 0
    assert f"{today}: no rows with split 0 and no --train: fitting on the whole input" in outcome.err


def test_csv_in_csv_out_and_the_same_bytes_twice(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """CSV holds what Parquet holds, and a second run writes the same bytes."""
    short.to_csv(tmp_path / "in.csv", index=False)
    for name in ("a.csv", "a.parquet", "b.parquet"):
        assert cli("score", "--input", tmp_path / "in.csv", "--output", tmp_path / name, *FAST).code == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet"))


def test_fewer_alarms_mean_lower_scores(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """All scores are scaled by one factor: a rarer alarm takes more."""
    short.to_csv(tmp_path / "in.csv", index=False)
    scores = []
    for rate in (0.1, 10):
        output = tmp_path / f"{rate}.csv"
        cli("score", "--input", tmp_path / "in.csv", "--output", output, "--alarms-per-week", rate, *FAST)
        scores.append(pd.read_csv(output)["anomaly_score"])
    factor = scores[1] / scores[0]
    assert factor.iloc[0] > 1.1
    np.testing.assert_allclose(factor, factor.iloc[0], rtol=1e-6)


def test_times_of_all_kinds(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """ISO 8601 and fractions of seconds come out as Unix seconds, in rows as many as there were times."""
    iso = short.rename(columns={"t": "time"})
    iso["time"] = pd.to_datetime(iso["time"], unit="s", utc=True).map(lambda time: time.isoformat())
    iso.to_csv(tmp_path / "iso.csv", index=False)
    fractions = short.assign(t=short["t"] / 1200 + 0.25)
    fractions.to_csv(tmp_path / "fractions.csv", index=False)
    for name, wanted in (("iso", short["t"]), ("fractions", fractions["t"])):
        assert cli("score", "--input", tmp_path / f"{name}.csv", "--output", tmp_path / "s.csv", *FAST).code == 0
        np.testing.assert_allclose(pd.read_csv(tmp_path / "s.csv")["t"], wanted, atol=1e-6, rtol=0)


def test_irregular_times(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """Times of which hardly two are equally far apart are put on a grid of the middle step, with a warning."""
    jitter = np.random.default_rng(1).uniform(-60, 60, len(short)).round(3)
    short = short.assign(t=short["t"] + jitter)
    short.to_csv(tmp_path / "in.csv", index=False)
    outcome = cli("score", "--input", tmp_path / "in.csv", "--output", tmp_path / "s.csv", *FAST)
    assert outcome.code == 0
    assert "warning" in outcome.err and "the times are irregular; they are put on a grid of " in outcome.err
    scores = pd.read_csv(tmp_path / "s.csv")
    np.testing.assert_allclose(scores["t"], short["t"], atol=1e-6, rtol=0)
    assert scores["anomaly_score"].notna().all()


def test_gaps_constants_and_empty_metrics(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """A fifth of the cells missing, a constant metric and one without any value are kept and do no harm."""
    random = np.random.default_rng(2)
    for name in METRICS:
        short.loc[random.random(len(short)) < 0.2, name] = np.nan
    short.loc[20:25, list(METRICS)] = np.nan
    short["constant"], short["nothing"] = 7.0, np.nan
    short.to_parquet(tmp_path / "in.parquet", index=False)
    output = tmp_path / "s.parquet"
    outcome = cli("score", "--input", tmp_path / "in.parquet", "--output", output, "--provide-series", *FAST)
    assert outcome.code == 0
    scores = pd.read_parquet(output)
    assert {"yhat.constant", "yhat.nothing", "attribution.constant", "attribution.nothing"} <= set(scores)
    assert len(scores) == len(short)
    assert scores["anomaly_score"].notna().mean() > 0.98
    assert (scores["attribution.nothing"] == 0).all()
    assert scores["yhat.nothing"].isna().all()
    np.testing.assert_allclose(scores["yhat.constant"], 7.0)
    assert scores["anomaly_score"].idxmax() in range(40, 70)


def test_one_metric(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """A single series has no others to be explained by, and is scored all the same."""
    short[["t", "cpu"]].to_csv(tmp_path / "in.csv", index=False)
    outcome = cli("score", "--input", tmp_path / "in.csv", "--output", tmp_path / "s.csv", "--provide-series", *FAST)
    assert outcome.code == 0
    scores = pd.read_csv(tmp_path / "s.csv")
    np.testing.assert_allclose(scores["attribution.cpu"], 1.0)
    assert scores["anomaly_score"].idxmax() in range(40, 70)


def test_many_metrics_few_rows(cli: Any, tmp_path: Path) -> None:
    """300 metrics over 80 rows."""
    values = np.random.default_rng(3).normal(size=(80, 300))
    table = pd.DataFrame(values, columns=[f"m{k}" for k in range(300)])
    table.insert(0, "t", np.arange(80) * 60)
    table.to_parquet(tmp_path / "in.parquet", index=False)
    outcome = cli("score", "--input", tmp_path / "in.parquet", "--output", tmp_path / "s.parquet", *FAST)
    assert outcome.code == 0
    assert pd.read_parquet(tmp_path / "s.parquet")["anomaly_score"].notna().all()


def test_unsorted_and_doubled_times_are_fixed(cli: Any, short: pd.DataFrame, tmp_path: Path) -> None:
    """The last of doubled rows counts, rows come out in order, a warning names file and number; exit code 0."""
    doubled = pd.concat([short.assign(cpu=-1.0).iloc[10:13], short]).sample(frac=1, random_state=0)
    last = pd.concat([doubled[doubled["cpu"] == -1.0], doubled[doubled["cpu"] != -1.0]])
    last.to_csv(tmp_path / "mixed.csv", index=False)
    short.to_csv(tmp_path / "sorted.csv", index=False)
    outcome = cli("score", "--input", tmp_path / "mixed.csv", "--output", tmp_path / "a.csv", *FAST)
    assert outcome.code == 0
    assert f"warning: {tmp_path / 'mixed.csv'}: 3 rows have the time of a later row" in outcome.err
    cli("score", "--input", tmp_path / "sorted.csv", "--output", tmp_path / "b.csv", *FAST)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_another_step_than_the_fits_is_reported(cli: Any, normal: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    """Scored on the grid of the fit, with a warning."""
    table[300::2].to_csv(tmp_path / "in.csv", index=False)
    outcome = cli("score", "--train", normal, "--input", tmp_path / "in.csv", "--output", tmp_path / "s.csv", *FAST)
    assert outcome.code == 0
    assert "the rows are 1200 s apart, those of" in outcome.err
    assert len(pd.read_csv(tmp_path / "s.csv")) == 60


BAD_TABLES: dict[str, tuple[str | None, str]] = {
    "missing": (None, "there is no such file; check the path"),
    "empty": ("", "the file is empty (0 bytes); write it again"),
    "no rows": ("t,cpu\n", "the file has a header but no rows"),
    "no metrics": ("t\n1\n2\n", "there are no metric columns"),
    "no time": ("when,cpu\n1,2\n", "no time column among when, cpu"),
    "text": ("t,cpu\n0,1\n60,high\n", "the column 'cpu' is not numeric: it holds 'high' in row 2; remove the column"),
    "bad time": ("t,cpu\n0,1\nnoon,2\n", "which is not a time, in row"),
    "one row": ("t,cpu\n0,1\n", "a single row has no step; give at least two rows"),
    "few rows": (
        "t,cpu\n" + "".join(f"{60 * k},{k}\n" for k in range(20)),
        "fitting needs at least one window of 64 rows, but there are 20; give more history",
    ),
    "no values": (
        "t,cpu\n" + "".join(f"{60 * k},\n" for k in range(100)),
        "the history to fit on holds no value at all",
    ),
}


@pytest.mark.parametrize("mistake", BAD_TABLES)
@pytest.mark.parametrize("option", ["--input", "--train"])
def test_bad_tables(cli: Any, tmp_path: Path, today: Path, mistake: str, option: str) -> None:
    """Messages say what, where and how to fix; exit code 1; nothing is written."""
    text, message = BAD_TABLES[mistake]
    bad = tmp_path / "bad.csv"
    if text is not None:
        bad.write_text(text)
    if option == "--train" and mistake in ("one row", "few rows", "no values"):
        table = pd.read_parquet(today)[["t", "cpu"]]
        table.to_csv(tmp_path / "good.csv", index=False)
        files = ("--train", bad, "--input", tmp_path / "good.csv")
    else:
        files = ("--input", bad) if option == "--input" else ("--train", bad, "--input", today)
    before = listing(tmp_path)
    outcome = cli("score", *files, "--output", tmp_path / "s.parquet", *FAST)
    assert outcome.code == 1
    assert f"error: {bad}: " in outcome.err
    assert message in outcome.err
    assert listing(tmp_path) == before


def test_metrics_that_differ_are_named_before_the_fit(cli: Any, normal: Path, tmp_path: Path) -> None:
    """Both files and the metrics are named, and no time is spent on fitting."""
    table = pd.read_parquet(normal).rename(columns={"net": "disk"})
    table.to_csv(tmp_path / "in.csv", index=False)
    outcome = cli("score", "--train", normal, "--input", tmp_path / "in.csv", "--output", tmp_path / "s.csv", *FAST)
    assert outcome.code == 1
    assert f"error: {tmp_path / 'in.csv'}: the metrics are not those of {normal}" in outcome.err
    assert "net missing; disk new" in outcome.err
    assert "fitting" not in outcome.err
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("scores.txt", "name the output .parquet or .csv"),
        ("file/scores.csv", "a part of the path is a file, not a folder: choose another path"),
        ("folder.csv", "this is a folder: name a file in it"),
        ("full.csv", "cannot be written: it is neither a file nor a folder; choose another place"),
        ("today.parquet", "this is a table to read, the scores would replace it; choose another --output"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_at_once(
    cli: Any, today: Path, tmp_path: Path, output: str, message: str
) -> None:
    """Before anything is fit: the path and a remedy, exit code 1, nothing written."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "full.csv").symlink_to("/dev/full")
    before = listing(tmp_path)
    outcome = cli("score", "--input", today, "--output", tmp_path / output, *FAST)
    assert outcome.code == 1
    assert f"error: {tmp_path / output}: " in outcome.err
    assert message in outcome.err
    assert "fitting" not in outcome.err
    assert listing(tmp_path) == before


def test_a_full_disk_leaves_the_old_scores(
    cli: Any, today: Path, tmp_path: Path, file_size_limit: Callable[[int], Any]
) -> None:
    """The new ones are written whole or not at all."""
    (tmp_path / "s.csv").write_text("old")
    before = listing(tmp_path)
    with file_size_limit(100):
        outcome = cli("score", "--input", today, "--output", tmp_path / "s.csv", *FAST)
    assert outcome.code == 1
    assert f"error: {tmp_path / 's.csv'}: cannot be written: " in outcome.err
    assert (tmp_path / "s.csv").read_text() == "old"
    assert listing(tmp_path) == before


@pytest.mark.parametrize("options", [("--fit-steps", 3), ("--alarms-per-week", 0), ("--seed", "x")])
def test_bad_options_are_named(cli: Any, today: Path, tmp_path: Path, options: tuple[str, object]) -> None:
    """Exit code 2, as for every mistake in how a command is called."""
    outcome = cli("score", "--input", today, "--output", tmp_path / "s.csv", *options)
    assert outcome.code == 2
    assert str(options[0]) in outcome.err
