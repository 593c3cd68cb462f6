"""``python -m benchmarks.speed``, and what its figures mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import timings
from benchmarks.speed import main
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.timeseries.frame import Frame

SMALL = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=10)


@pytest.fixture(scope="module")
def frame() -> Frame:
    return timings.synthetic(400, 3)


@pytest.fixture(scope="module")
def detector(frame: Frame) -> DiffusionDetector:
    return DiffusionDetector.fit(frame, SMALL)


@pytest.fixture
def clock() -> Callable[[], float]:
    """Each look at it is 2 seconds later."""
    times = iter(range(0, 10**6, 2))
    return lambda: float(next(times))


def test_synthetic_frames_are_the_same_at_each_call() -> None:
    """One-minute rows without gaps, correlated."""
    one, two = timings.synthetic(500, 4), timings.synthetic(500, 4)
    np.testing.assert_array_equal(one.values, two.values)
    assert (len(one), len(one.names), one.step.total_seconds()) == (500, 4, 60.0)
    assert one.observed.all()


def test_figures_are_seconds_per_unit(detector: DiffusionDetector, frame: Frame, clock: Callable[[], float]) -> None:
    """Every measured call takes 2 s by this clock: per row of a frame, per tick, per row the reference windows span."""
    assert timings.row_seconds(detector, frame, "batch", clock=clock) == 2 / 400
    assert timings.tick_seconds(detector, frame, ticks=3, clock=clock) == 2.0
    assert timings.reference_row_seconds(frame, windows=1, clock=clock) == 2 / 50
    assert timings.fit(frame, SMALL, clock)[1] >= 2.0


def test_a_pipelines_tick_scores_one_row(
    detector: DiffusionDetector, frame: Frame, tmp_path: Path, clock: Callable[[], float]
) -> None:
    """A tick that scored another number of rows, or failed, would be an error."""
    assert timings.pipeline_tick_seconds(detector, frame, tmp_path, ticks=3, clock=clock) == 2.0


def test_the_command_prints_the_figures_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure asked for is in the table and the file, with facts of the machine but not its name."""
    out = tmp_path / "speed.json"
    assert main(["--quick", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for words in ("timestamps per second", "one streaming tick", "fit of one machine", "reference mode", "peak memory"):
        assert words in printed
    result = json.loads(out.read_text())
    assert result["quick"] is True
    assert result["machine"].keys() == {"cores", "load_average", "torch_threads", "architecture", "python", "torch"}
    figures = result["figures"]
    assert all(value >= 0 for value in figures.values())
    for size in ("wide", "long"):
        assert 50 < figures[f"{size}_before_mib"] <= figures[f"{size}_peak_mib"] < 1_000


def test_wrong_input_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing folder, a place that cannot be written."""
    assert main(["--out", str(tmp_path / "r.json"), "--data", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["--out", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err
