"""The command line as users meet it: exit code, standard output, standard error."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import structlog
import yaml

from tsdiff_monitor.cli import main

STEP_SECONDS = 600
HISTORY, ROWS = 300, 420
START = 1_714_521_600  # 2024-05-01T00:00:00Z


@dataclass(frozen=True)
class Outcome:
    """The results of a command."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunCli]:
    """Run a command in this process. Anything that is not a message and an exit code fails the test."""
    monkeypatch.setenv("COLUMNS", "200")  # so that no message is broken into lines
    root, apscheduler = logging.getLogger(), logging.getLogger("apscheduler")
    handlers, level, of_apscheduler = root.handlers[:], root.level, apscheduler.level

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    yield run
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    apscheduler.setLevel(of_apscheduler)
    structlog.reset_defaults()


@pytest.fixture
def table() -> pd.DataFrame:
    """Three metrics that move together; from row 350 to 360 all of them are far off."""
    random = np.random.default_rng(0)
    t = START + STEP_SECONDS * np.arange(ROWS)
    wave = np.sin(2 * np.pi * t / 86400)
    values = {
        name: (k + 1) * (10 + 3 * wave + random.normal(0, 0.3, ROWS)) for k, name in enumerate(("cpu", "io", "net"))
    }
    frame = pd.DataFrame({"t": t, **values})
    frame.loc[350:360, ["cpu", "io", "net"]] *= 4
    return frame


@pytest.fixture
def document(tmp_path: Path, table: pd.DataFrame) -> dict[str, Any]:
    """A configuration with one monitor over two files, of which only the second has an incident."""
    data = tmp_path / "metrics"
    data.mkdir()
    calm = table.copy()
    calm.loc[350:360, ["cpu", "io", "net"]] /= 4
    calm.to_csv(data / "web-1.csv", index=False)
    table.to_csv(data / "web-2.csv", index=False)
    return {
        "settings": {"storage_path": str(tmp_path / "data")},
        "readers": {"files": {"type": "files", "path": str(data / "*.csv")}},
        "models": {
            "default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 30, "samples": 8, "fit_window": "50h"}
        },
        "schedulers": {"often": {"infer_every": "10m", "offset": "0s"}},
        "monitors": {
            "hosts": {
                "reader": "files",
                "scheduler": "often",
                "step": "10m",
                "groupby": ["file"],
                "alarms_per_week": 5.0,
                "queries": {"all": "*"},
            }
        },
    }


WriteConfig = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    def write(document: Mapping[str, Any]) -> Path:
        path = tmp_path / "monitor.yml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    return write


@pytest.fixture
def at() -> Callable[[int], str]:
    """The time of a row, as an option's text."""
    return lambda row: pd.Timestamp(START + STEP_SECONDS * row, unit="s", tz="UTC").isoformat()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """No file may grow beyond a size in bytes: what a full disk does, without one."""
    return _file_size_limit
