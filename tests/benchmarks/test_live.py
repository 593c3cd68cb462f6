"""``python -m benchmarks.live`` on two tiny machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.data import Task
from benchmarks.live import WAYS, _detections, main

FIELDS = {
    "series",
    "way",
    "fits",
    "segments",
    "found",
    "delays_rows",
    "events",
    "false",
    "false_per_week",
    "vus_pr",
} | {"normal_rows_in_events"}


def run(folder: Path, out: Path, *options: object) -> tuple[int, list[dict[str, Any]]]:
    given = ["--data", folder, "--out", out, "--fit-steps", 20, "--series", "a", *options]
    status = main([str(option) for option in given])
    return status, json.loads(out.read_text()) if out.exists() else []


def test_one_record_per_series_and_way(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The excursion is reported; refits are counted; the table has a row for each way."""
    status, records = run(folder, tmp_path / "r.json", "--refit", "2h", "--alarms", 20)
    assert status == 0
    assert [record["way"] for record in records] == list(WAYS)
    assert [record["fits"] for record in records] == [1, 3, 3]
    assert all(set(record) >= FIELDS for record in records)
    assert all((record["segments"], record["found"]) == (1, 1) for record in records)
    printed = capsys.readouterr().out
    assert all(f"\n{way} " in printed for way in WAYS)


def test_without_refits_there_is_one_way(folder: Path, tmp_path: Path) -> None:
    """One fit, as it stands."""
    _, records = run(folder, tmp_path / "r.json")
    assert [(record["way"], record["fits"]) for record in records] == [("never", 1)]


@pytest.mark.parametrize("span", ["soon", "0s"])
def test_a_span_that_is_none(folder: Path, tmp_path: Path, span: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in a line, nothing run."""
    assert run(folder, tmp_path / "r.json", "--refit", span) == (2, [])
    assert "benchmarks.live: --refit" in capsys.readouterr().err


def test_events_against_labels() -> None:
    """An event that touches a segment finds it, late as it opened; one close by is neither, one far off false."""
    labels = np.zeros(2000, dtype=np.int8)
    labels[100:120] = labels[500:520] = 1
    task = Task("a", np.zeros((1, 1)), np.zeros((2000, 1)), labels, 302.4)  # 2,000 rows are a week
    found = _detections(task, [(95, 104, 103), (110, 130, 112), (525, 528, 527), (900, 910, 902), (1500, 1501, 1500)])
    assert (found["segments"], found["found"], found["delays_rows"]) == (2, 1, [3])
    assert (found["events"], found["false"]) == (5, 2)
    assert found["false_per_week"] == pytest.approx(2 / (1960 / 2000), abs=0.01)
    assert found["normal_rows_in_events"] == pytest.approx((5 + 10 + 3 + 10 + 1) / 1960, abs=1e-4)
