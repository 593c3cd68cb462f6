"""``tsdiff-monitor backtest`` and the demo's configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tsdiff_monitor.backtest.report.write import FILES
from tsdiff_monitor.config.lint import lint
from tsdiff_monitor.config.loader import load_config
from tsdiff_monitor.system.file_lock import exclusive

DATA = Path(__file__).parents[3] / "shared" / "data" / "smd"


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Two simulated services, half a day to fit on, a quarter of a day with one incident."""
    incident = {"kind": "cpu_saturation", "service": "gateway", "after": "2h", "lasts": "40m", "severity": 3}
    fleet = {"type": "simulator", "services": 2, "history": "12h", "replay": "6h", "incidents": [incident]}
    monitor = {"reader": "fleet", "scheduler": "often", "step": "1m", "groupby": ["service"], "queries": {"all": "*"}}
    return {
        "settings": {"storage_path": str(tmp_path / "data")},
        "readers": {"fleet": fleet},
        "models": {
            "default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 30, "samples": 8, "fit_window": "12h"}
        },
        "schedulers": {"often": {"infer_every": "1m"}},
        "monitors": {"services": {**monitor, "alarms_per_week": 5.0}},
    }


@pytest.fixture
def backtest(cli: Any) -> Callable[..., Any]:
    """Run the command for a configuration and a report's folder."""
    return lambda config, report, *options: cli("backtest", "--config.file", config, "--report", report, *options)


def folder_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def test_report_and_second_run(backtest: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """The summary on standard output, the four files, nothing else; a second run fits nothing and writes the same."""
    config = write_config(document)
    first = backtest(config, tmp_path / "report")
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0].startswith("2 groups, 720 rows scored, ")
    assert lines[1].startswith("1 of 1 labelled incident found, median delay ")
    assert lines[-1] == str(tmp_path / "report" / "report.html")
    written = folder_of(tmp_path / "report")
    assert set(written) == set(FILES) == {path.name for path in (tmp_path / "report").iterdir()}
    summary = json.loads(written["summary.json"])
    assert summary["events"] == len(written["events.jsonl"].splitlines())
    assert len(pd.read_parquet(tmp_path / "report" / "scores.parquet")) == 720
    second = backtest(config, tmp_path / "report")
    assert second.code == 0
    assert "fitting" not in second.err
    assert folder_of(tmp_path / "report") == written


def test_several_monitors_and_one_that_fails(
    backtest: Any, write_config: Any, document: dict[str, Any], tmp_path: Path
) -> None:
    """A folder each; the one without data is named, leaves no folder, and stops no other; exit code 1."""
    monitor = document["monitors"]["services"]
    document["readers"]["files"] = {"type": "files", "path": str(tmp_path / "nowhere.csv")}
    document["monitors"] = {
        "broken": {**monitor, "reader": "files", "groupby": ["file"]},
        "a/b": {**monitor, "queries": {"cpu": "cpu_percent"}},
        "services": monitor,
    }
    outcome = backtest(write_config(document), tmp_path / "report", "--end", "2026-01-05T14:00:00Z")
    assert outcome.code == 1
    assert f"error: monitor broken: {tmp_path / 'nowhere.csv'}: there is no such file" in outcome.err
    assert "Monitor services\n2 groups, 240 rows scored" in outcome.out
    folders = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert [name.partition("-")[0] for name in folders] == ["a_b", "services"]
    for name in folders:
        assert set(folder_of(tmp_path / "report" / name)) == set(FILES)


def test_a_taken_folder_is_refused(backtest: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """While one process writes to a folder, another is informed at once."""
    with exclusive(tmp_path / "report"):
        outcome = backtest(write_config(document), tmp_path / "report")
    assert outcome.code == 1
    assert f"{tmp_path / 'report'}: another run is writing its report here; wait for it" in outcome.err
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--start", "2026-01-06"), 1, "error: monitor services: there is nothing to score from 2026-01-06"),
        (("--start", "tomorrow-ish"), 2, "Invalid value for --start: 'tomorrow-ish' is not a time"),
        (("--monitor", "hosts"), 1, "monitors: there is no monitor 'hosts' (it has: services)"),
        (
            ("--start", "2026-01-05T13:00", "--end", "2026-01-05T13:00:30"),
            1,
            "error: monitor services: nothing could be scored: the source has no data in the span; fix the queries",
        ),
    ],
)
def test_options_that_fit_nothing(
    backtest: Any, write_config: Any, document: dict[str, Any], tmp_path: Path, options: Any, code: int, message: str
) -> None:
    """Messages say what is wrong and what would be right; no report is left."""
    outcome = backtest(write_config(document), tmp_path / "report", *options)
    assert outcome.code == code
    assert message in outcome.err
    assert not (tmp_path / "report").exists()


def test_reports_that_cannot_be_written(
    backtest: Any, write_config: Any, document: dict[str, Any], tmp_path: Path, file_size_limit: Callable[[int], Any]
) -> None:
    """A path below a file is refused before anything is fit; a full disk leaves no half file."""
    document["readers"]["fleet"] |= {"services": 6, "replay": "12h"}
    config = write_config(document)
    outcome = backtest(config, config / "report")
    assert outcome.code == 1
    assert f"{config / 'report'}: the report cannot be written here (Not a directory)" in outcome.err
    assert "fitting" not in outcome.err
    backtest(config, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").stat().st_size
    for path in (tmp_path / "report").iterdir():
        path.unlink()
    with file_size_limit(page - 1):  # enough for the state, not for the page
        outcome = backtest(config, tmp_path / "report")
    assert outcome.code == 1
    assert f"{tmp_path / 'report' / 'report.html'}: cannot be written: File too large" in outcome.err
    assert not (tmp_path / "report" / "summary.json").exists()
    assert not [path for path in (tmp_path / "report").iterdir() if path.name.startswith(".")]


def test_the_demos_configuration_is_good() -> None:
    """It loads, draws no warning, and has what the command counts on."""
    with as_file(files("tsdiff_monitor") / "demo" / "demo.yaml") as path:
        slack = {"DEMO_SLACK_URL": "http://127.0.0.1:9/api/", "DEMO_SLACK_TOKEN": "xoxb-demo"}
        config = load_config(path, environ=slack)
    assert lint(config) == []
    assert (list(config.readers), list(config.monitors)) == (["fleet"], ["services"])
    assert config.readers["fleet"].type == "simulator"


def slice_of(name: str, folder: Path, fit: int, score: slice) -> None:
    """The last rows to fit on and some rows to score, moved together so that no gap is between them."""
    whole = pd.read_parquet(DATA / f"{name}.parquet")
    history, replayed = whole[whole["split"] == 0][-fit:], whole[whole["split"] == 1][score]
    part = pd.concat([history, replayed])
    part["t"] = [60 * k for k in range(len(part))]
    part.to_parquet(folder / f"{name}.parquet", index=False)


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.exists(), reason="the labelled data is not beside the checkout")
def test_real_servers(backtest: Any, tmp_path: Path) -> None:
    """The shipped configuration on slices of its two machines, with a small model: labels are met by events."""
    slice_of("machine-1-6", tmp_path, 1500, slice(4000, 5500))
    slice_of("machine-2-1", tmp_path, 1500, slice(7000, 8500))
    document = yaml.safe_load((Path(__file__).parents[2] / "configs" / "backtest-smd.yaml").read_text())
    document["settings"]["storage_path"] = str(tmp_path / "data")
    document["readers"]["smd"] = {"type": "files", "path": str(tmp_path / "machine-*.parquet")}
    document["models"] = {"default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 60, "samples": 8}}
    (tmp_path / "smd.yml").write_text(yaml.safe_dump(document))
    outcome = backtest(tmp_path / "smd.yml", tmp_path / "report")
    assert outcome.code == 0, outcome.err
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["groups"] == 2
    assert summary["labelled_incidents"] >= 2
    assert summary["detected_incidents"] >= 1
    scores = pd.read_parquet(tmp_path / "report" / "scores.parquet")
    assert scores.groupby("group")["anomaly_score"].count().tolist() == [1500, 1500]
    events = [json.loads(line) for line in (tmp_path / "report" / "events.jsonl").read_text().splitlines()]
    columns = set(pd.read_parquet(DATA / "machine-1-6.parquet").columns) - {"t", "split", "label"}
    assert {culprit["metric"] for event in events for culprit in event["culprits"]} <= columns
