"""``python -m benchmarks.connectors``, and what its figures mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import prometheus_history, prometheus_ticks
from benchmarks.connectors import main
from tests.servers.process import find_program


@pytest.fixture
def clock() -> Callable[[], float]:
    """Each look at it is 2 seconds later."""
    times = iter(range(0, 10**6, 2))
    return lambda: float(next(times))


def test_a_history_is_the_same_in_both_forms() -> None:
    """The values that must be read are those that the server is given, a sample per series and minute."""
    values, text = prometheus_history.history(2, 3)
    lines = [line.split() for line in text.splitlines()[:-1]]
    assert [float(value) for _, value, _ in lines] == values.T.ravel().tolist()
    assert [int(at) - prometheus_history.START for _, _, at in lines] == [0, 60, 120] * 2
    assert text.endswith("# EOF\n")
    np.testing.assert_array_equal(values, prometheus_history.history(2, 3)[0])


def test_a_tick_is_timed_alone(clock: Callable[[], float]) -> None:
    """The first reading, of the whole window, is no tick; a tick that brought other rows would be an error."""
    assert prometheus_ticks.tick_cpu_seconds(2, 3, 4, clock) == [2.0] * 4


def test_the_command_prints_the_figures_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure asked for is in the table and the file, with facts of the machine but not its name."""
    for program, package in (("prometheus", "prometheus"), ("promtool", "prometheus"), ("curl", "curl")):
        find_program(program, package)
    out = tmp_path / "connectors.json"
    assert main(["--quick", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for words in ("rows from Prometheus", "by curl", "CPU seconds", "resident memory"):
        assert words in printed
    result = json.loads(out.read_text())
    assert result["quick"] is True
    assert result["machine"].keys() == {"cores", "load_average", "architecture", "python"}
    figures = result["figures"]
    assert all(value >= 0 for value in figures.values())
    assert 50 < figures["memory_first_mib"] <= figures["memory_last_mib"] + 5 < 1_000


def test_wrong_input_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that cannot be written, and programs that are not there."""
    assert main(["--out", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--quick", "--out", str(tmp_path / "r.json")]) == 2
    assert "needs the programs prometheus, promtool and curl" in capsys.readouterr().err
