"""``python -m benchmarks.sql`` and the loader that it shares with the configurations for card fraud."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from benchmarks import fraud_data
from benchmarks.sql import main, measure
from tsdiff_monitor.errors import DataError

DAY = 1_522_540_800  # 2018-04-01


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six payments at two terminals over three days, one of them fraudulent."""
    data = tmp_path / "data"
    data.mkdir()
    rows = {
        "transaction_id": range(6),
        "t": [DAY + hour * 3600 for hour in (1, 2, 26, 30, 50, 71)],
        "customer_id": [1, 2, 1, 2, 3, 3],
        "terminal_id": [1, 1, 1, 2, 2, 2],
        "amount": pd.array([1.1, 2, 3, 4, 5, 6], "float32"),
        "fraud": [0, 0, 1, 0, 0, 0],
        "scenario": [0, 0, 2, 0, 0, 0],
    }
    pd.DataFrame(rows).to_parquet(data / "payments.parquet")
    return data


def test_the_loader_fills_a_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports arrive after the delay, other payments have none, labels stay out; a second run replaces the first."""
    url = f"sqlite:///{tmp_path / 'payments.sqlite'}"
    arguments = ["--data", str(folder), "--database", url]
    assert fraud_data.main([*arguments, "--report-delay", "1d"]) == 0
    assert fraud_data.main(arguments) == 0
    assert "6 payments, 1 reports" in capsys.readouterr().out
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        table = pd.read_sql("SELECT * FROM transactions ORDER BY id", connection)
        indexed = {one["column_names"][0] for one in sa.inspect(connection).get_indexes("transactions")}
    engine.dispose()
    assert list(table) == ["id", "t", "customer", "terminal", "amount", "reported"]
    assert table["reported"].dropna().to_dict() == {2: DAY + 26 * 3600 + 7 * 86_400}
    assert table["amount"].tolist() == [1.1, 2, 3, 4, 5, 6]
    assert indexed == {"t", "reported"}


def test_the_command_prints_the_figures_and_writes_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every payment is counted once; the file holds facts of the machine but not its name."""
    out = tmp_path / "sql.json"
    assert main(["--data", str(folder), "--out", str(out), "--step", "6h"]) == 0
    assert "sqlite" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["machine"].keys() == {"cores", "load_average", "architecture", "python", "sqlalchemy"}
    (figures,) = result["figures"]
    assert (figures["payments"], figures["groups"], figures["rows"], figures["features"]) == (6, 2, 12, 9)
    assert all(figures[key] >= 0 for key in ("load_seconds", "read_seconds", "reader_cpu_seconds", "tick_seconds"))


def test_seconds_are_those_of_the_clock(folder: Path, tmp_path: Path) -> None:
    """Each look at this clock is 2 seconds later: one measured call takes 2 s."""
    times = iter(range(0, 100, 2))
    table = fraud_data.payments(folder, 60)
    url = f"sqlite:///{tmp_path / 'payments.sqlite'}"
    figures = measure(table, url, "customer", pd.Timedelta("1h"), clock=lambda: float(next(times)))
    assert [figures[key] for key in ("load_seconds", "read_seconds", "tick_seconds", "groups")] == [2, 2, 2, 3]


def test_input_that_is_wrong_is_one_line_and_status_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without payments, a table of something else, an address that cannot be."""
    out = str(tmp_path / "sql.json")
    assert main(["--data", str(tmp_path), "--out", out]) == 2
    assert "there is no *.parquet in it" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    pd.DataFrame({"t": [1]}).to_parquet(tmp_path / "other" / "x.parquet")
    with pytest.raises(DataError, match="its columns must be transaction_id"):
        fraud_data.payments(tmp_path / "other", 60)
    assert fraud_data.main(["--data", str(folder), "--database", "somewhere"]) == 2
    assert "benchmarks.fraud_data: " in capsys.readouterr().err
