"""``python -m benchmarks.scale`` runs, and its figures are what they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scale import SlicedReader, main
from benchmarks.timings import synthetic
from tsdiff_monitor.plugins import ReadRequest


def test_the_quick_sizes_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, and a result file that says that the figures mean nothing; a tick is one transaction at any size."""
    out = tmp_path / "scale.json"
    assert main(["--quick", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert (result["quick"], result["groups"], result["metrics"]) == (True, 6, 3)
    assert result["figures"]["transactions"] == 1
    assert result["figures"]["kib_per_series"] > 0
    assert "6 groups x 3 metrics" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the minutes that the measurement takes."""
    (tmp_path / "file").write_text("")
    assert main(["--quick", "--out", str(tmp_path / "file" / "scale.json")]) == 2
    assert "benchmarks.scale:" in capsys.readouterr().err


def test_the_reader_answers_with_the_rows_asked_for() -> None:
    """From memory, for every group."""
    frame = synthetic(100, 2)
    request = ReadRequest((), frame.times[10], frame.times[20], frame.step)
    reading = SlicedReader({(): frame}).read(request)
    assert (reading.frames[()].start, len(reading.frames[()])) == (frame.times[10], 10)
