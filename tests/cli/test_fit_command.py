"""``tsdiff-monitor fit``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Row = Callable[[int], str]


@pytest.fixture
def config(write_config: Any, document: dict[str, Any]) -> Path:
    return write_config(document)


def cards(tmp_path: Path) -> dict[str, Any]:
    return {
        path.parent.name.split("-")[1]: json.loads(path.read_text())
        for path in (tmp_path / "data" / "models").rglob("card.json")
    }


def test_every_model_is_fit_and_kept(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """The latest ``fit_window`` is fit on; asked again for the same time, nothing is left to do."""
    outcome = cli("fit", "--config.file", config, "--now", at(300))
    assert (outcome.code, outcome.out) == (0, "")
    assert "fitting hosts file=web-1: 30/30" in outcome.err
    assert "monitor hosts: 2 models fit, 0 current already, 0 failed" in outcome.err
    assert {name: card["fit_end"] for name, card in cards(tmp_path).items()} == {"1": at(300), "2": at(300)}
    again = cli("fit", "--config.file", config, "--now", at(300))
    assert "monitor hosts: 0 models fit, 2 current already, 0 failed" in again.err
    later = cli("fit", "--config.file", config, "--now", at(310))
    assert "monitor hosts: 2 models fit, 0 current already, 0 failed" in later.err


def test_the_same_data_gives_the_same_model(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """Two fits on the same rows have the same weights, byte for byte."""
    for folder in ("a", "b"):
        cli("fit", "--config.file", config, "--now", at(300), "--storage.path", tmp_path / folder)
    first, second = (sorted(path.name for path in (tmp_path / f).rglob("weights-*")) for f in ("a", "b"))
    assert first == second  # the name holds the checksum
    assert len(first) == 2


def test_a_group_that_cannot_be_fit_stops_no_other(
    cli: Any, config: Path, at: Row, tmp_path: Path, table: pd.DataFrame
) -> None:
    """Exit code 1, the group and the remedy are named, the other group has its model."""
    table.loc[290:].to_csv(tmp_path / "metrics" / "web-1.csv", index=False)
    outcome = cli("fit", "--config.file", config, "--now", at(300))
    assert outcome.code == 1
    assert "1 model fit, 0 current already, 1 failed" in outcome.err
    assert "error: monitor hosts, file=web-1: fitting needs at least one window of 16 rows" in outcome.err
    assert list(cards(tmp_path)) == ["2"]


def test_one_failing_monitor_stops_no_other(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path
) -> None:
    """A source without an answer is named; the other monitor's models are fit."""
    document["readers"]["broken"] = {"type": "files", "path": str(tmp_path / "nowhere.csv")}
    document["monitors"] = {"broken": {**document["monitors"]["hosts"], "reader": "broken"}, **document["monitors"]}
    outcome = cli("fit", "--config.file", write_config(document), "--now", at(300))
    assert outcome.code == 1
    assert "error: monitor broken: " in outcome.err
    assert "monitor hosts: 2 models fit" in outcome.err


def test_no_data_is_reported(cli: Any, config: Path, at: Row) -> None:
    """A fit window before all data is no error, but the user learns of it."""
    outcome = cli("fit", "--config.file", config, "--now", "2020-01-01")
    assert outcome.code == 0
    assert "monitor hosts: the source has no data for its queries in the fit window" in outcome.err


def test_warnings_of_the_source_are_shown(cli: Any, write_config: Any, document: dict[str, Any], at: Row) -> None:
    """A query that matches nothing is named."""
    document["monitors"]["hosts"]["queries"]["typo"] = "cqu"
    outcome = cli("fit", "--config.file", write_config(document), "--now", at(300))
    assert "warning: monitor hosts: the query 'typo' matches no metric" in outcome.err


def test_a_full_disk_is_reported(
    cli: Any,
    write_config: Any,
    document: dict[str, Any],
    at: Row,
    tmp_path: Path,
    file_size_limit: Callable[[int], Any],
) -> None:
    """The folder is named, the exit code is 1, and no half model is left."""
    document["models"]["default"]["width"] = 96  # so that a model takes more room than the database
    with file_size_limit(120_000):
        outcome = cli("fit", "--config.file", write_config(document), "--now", at(300))
    models = tmp_path / "data" / "models"
    assert outcome.code == 1
    assert f"error: monitor hosts, file=web-1: {models / 'hosts'}" in outcome.err
    assert "cannot be written: File too large" in outcome.err
    assert not [path for path in models.rglob("*") if path.is_file()]
