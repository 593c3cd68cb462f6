"""The commands `check config` and `check schema`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tsdiff_monitor.cli.check import app
from tsdiff_monitor.config.schema import json_schema

GOOD = """
readers: {sim: {type: simulator}}
schedulers: {minutely: {infer_every: 1m}}
notifiers: {screen: {type: console}}
monitors: {fleet: {reader: sim, scheduler: minutely, step: 1m, queries: {all: "*"}, notify: [screen]}}
"""


def test_good_file(tmp_path: Path) -> None:
    """A good file gets one line on stdout and exit code 0."""
    path = tmp_path / "c.yml"
    path.write_text(GOOD)
    result = CliRunner().invoke(app, ["config", str(path)])
    assert result.exit_code == 0
    assert result.stderr == ""
    contents = "1 monitor, 1 reader, 1 model, 1 scheduler, 1 notifier, 0 writers"
    assert result.stdout == f"{path}: good: {contents}\n"


def test_wrong_file(tmp_path: Path) -> None:
    """A wrong file gets its problems on stderr, nothing on stdout, and exit code 1."""
    path = tmp_path / "c.yml"
    path.write_text(GOOD.replace("step: 1m", "stpe: 1m"))
    result = CliRunner().invoke(app, ["config", str(path)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"{path}: monitors.fleet.stpe: unknown key (did you mean `step`?" in result.stderr
    assert f"{path}: monitors.fleet.step: is required" in result.stderr


def test_doubtful_file(tmp_path: Path) -> None:
    """A valid but doubtful file gets its warnings on stderr and exit code 3."""
    path = tmp_path / "c.yml"
    path.write_text(GOOD.replace(", notify: [screen]", ", write: []"))
    result = CliRunner().invoke(app, ["config", str(path)])
    assert result.exit_code == 3
    assert result.stderr.count(f"{path}: warning: ") == 2
    assert "monitors.fleet: its events reach no one" in result.stderr
    assert result.stdout.startswith(f"{path}: valid, with 2 warnings: 1 monitor")


def test_absent_file(tmp_path: Path) -> None:
    """A path that leads nowhere is an error like any other, without a traceback."""
    result = CliRunner().invoke(app, ["config", str(tmp_path / "absent.yml")])
    assert result.exit_code == 1
    assert "absent.yml: cannot be read: No such file or directory" in result.stderr


def test_schema_to_stdout_and_file(tmp_path: Path) -> None:
    """The schema is printed, or written to the file asked for, the same both ways."""
    printed = CliRunner().invoke(app, ["schema"])
    assert json.loads(printed.stdout) == json_schema()
    written = CliRunner().invoke(app, ["schema", "--output", str(tmp_path / "s.json")])
    assert (printed.exit_code, written.exit_code, written.stdout) == (0, 0, "")
    assert (tmp_path / "s.json").read_text() == printed.stdout


def test_schema_that_cannot_be_written(tmp_path: Path) -> None:
    """An output path that cannot be written is an error in words."""
    result = CliRunner().invoke(app, ["schema", "--output", str(tmp_path / "no" / "s.json")])
    assert result.exit_code == 1
    assert "s.json: the schema cannot be written: No such file or directory" in result.stderr


def test_help_shows_an_example() -> None:
    """Each command's help says what it does and shows one call."""
    for command in ("config", "schema"):
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0
        assert f"Example: tsdiff-monitor check {command} " in result.stdout
