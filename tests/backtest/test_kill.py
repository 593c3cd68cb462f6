"""``kill -9`` in the middle of ``backtest`` and of ``fit``, then the same command again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tsdiff_monitor.backtest.report.write import FILES

SECONDS = 120


def run(arguments: Sequence[object], folder: Path, *, kill_at: str | None = None) -> str:
    """Standard error of a command run in ``folder`` to its end, or killed when a line began with ``kill_at``."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tsdiff_monitor", *map(str, arguments)]
    seen: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stderr is not None
        for line in process.stderr:
            seen.append(line)
            if kill_at is not None and line.startswith(kill_at):
                process.kill()
                break
        process.stderr.read()
        code = process.wait(SECONDS)
    text = "".join(seen)
    assert code == (0 if kill_at is None else -9), text
    return text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def config(write_config: Any, document: dict[str, Any], tmp_path: Path) -> Path:
    document["settings"]["storage_path"] = "data"  # below the working directory
    document["monitors"]["services"]["alarms_per_week"] = 500.0  # many events, so that one lost would be seen
    return write_config(document)


def test_a_killed_backtest_completes(config: Path, tmp_path: Path) -> None:
    """Killed while fitting, scoring and explaining: the report is that of a run without any of it, byte for byte."""
    arguments = ("backtest", "--config.file", config, "--report", "report")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    run(arguments, killed, kill_at="fitting service=orders: 1/30")
    run(arguments, killed, kill_at="scoring (hours)")
    run(arguments, killed, kill_at="explaining events: 1/")
    assert not (killed / "report" / "summary.json").exists()
    last = run(arguments, killed)
    assert "fitting" not in last  # the models of the killed runs are kept
    run(arguments, undisturbed)
    written = contents(killed / "report")
    assert set(written) == set(FILES)
    assert written == contents(undisturbed / "report")
    ids = [json.loads(line)["id"] for line in written["events.jsonl"].splitlines()]
    assert len(ids) == len(set(ids)) >= 2


def test_a_killed_fit_completes(config: Path, tmp_path: Path) -> None:
    """Models that were stored are kept, the others fit: the same models as without the kill."""
    arguments = ("fit", "--config.file", config, "--now", "2026-01-05T12:00:00Z")
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    run(arguments, killed, kill_at="fitting services service=orders: 1/30")
    last = run(arguments, killed)
    assert "fitting services service=gateway" not in last
    assert "1 model fit, 1 current already, 0 failed" in last
    run(arguments, undisturbed)
    models = Path("data", "models", "services")
    files = [path.relative_to(undisturbed) for path in (undisturbed / models).rglob("*") if path.is_file()]
    assert len(files) == 2 * 3
    assert sorted(files) == sorted(p.relative_to(killed) for p in (killed / models).rglob("*") if p.is_file())
    for path in files:
        assert (killed / path).read_bytes() == (undisturbed / path).read_bytes()
