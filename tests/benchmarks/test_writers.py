"""``python -m benchmarks.writers``, and what its figures mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import writers
from tests.servers.process import find_program


def test_the_command_prints_the_figures_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure is in the table and the file, with facts of the machine; all samples arrived."""
    find_program("prometheus", "prometheus")
    out = tmp_path / "writers.json"
    assert writers.main(["--quick", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for words in ("samples encoded and compressed", "tick by tick", "after an outage", "what scoring waits"):
        assert words in printed
    result = json.loads(out.read_text())
    assert (result["quick"], result["figures"]["samples"]) == (True, 3 * 3 * 11)
    assert all(value > 0 for value in result["figures"].values())
    assert result["machine"].keys() == {"cores", "load_average", "architecture", "python"}


def test_wrong_input_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that cannot be written; a machine without Prometheus."""
    assert writers.main(["--out", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert writers.main(["--quick", "--out", str(tmp_path / "r.json")]) == 2
    assert "needs the program prometheus" in capsys.readouterr().err
