"""Mistakes in a configuration, as the commands that read one report them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Edit = Callable[[dict[str, Any]], object]

MISTAKES: dict[str, tuple[Edit, str]] = {
    "unknown key": (
        lambda d: d["monitors"]["hosts"].update(group_by=["file"]),
        "monitors.hosts.group_by: unknown key (did you mean `groupby`?",
    ),
    "unset variable": (
        lambda d: d["readers"]["files"].update(path="${TSDIFF_TEST_UNSET}"),
        "readers.files.path: the environment variable TSDIFF_TEST_UNSET is not set",
    ),
    "no queries": (lambda d: d["monitors"]["hosts"].update(queries={}), "monitors.hosts.queries: "),
    "interval shorter than step": (
        lambda d: d["schedulers"]["often"].update(infer_every="1m"),
        "monitors.hosts.step: interval shorter than step: the monitor's step is 10m",
    ),
    "unknown reader": (
        lambda d: d["monitors"]["hosts"].update(reader="fles"),
        "monitors.hosts.reader: there is no reader named 'fles' (did you mean `files`?",
    ),
}
COMMANDS = ("once", "fit", "backtest", "run")


def options(command: str, folder: Path) -> tuple[object, ...]:
    return ("--report", folder / "report") if command == "backtest" else ()


def listing(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes(
    cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path, command: str, mistake: str
) -> None:
    """File, key and remedy; exit code 1; neither storage nor report is made."""
    edit, message = MISTAKES[mistake]
    edit(document)
    config = write_config(document)
    before = listing(tmp_path)
    outcome = cli(command, "--config.file", config, *options(command, tmp_path))
    assert (outcome.code, outcome.out) == (1, "")
    assert f"error: {config}: {message}" in outcome.err
    assert listing(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_query_name_used_twice(
    cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path, command: str
) -> None:
    """YAML would keep the second silently; here both lines are named."""
    document["monitors"]["hosts"]["queries"] = {"all": "cpu", "other": "io"}
    config = write_config(document)
    config.write_text(config.read_text().replace("other: io", "all: io"))
    outcome = cli(command, "--config.file", config, *options(command, tmp_path))
    assert outcome.code == 1
    assert f"error: {config}: monitors.hosts.queries.all: " in outcome.err
    assert "twice" in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
def test_no_file(cli: Any, tmp_path: Path, command: str) -> None:
    """A missing configuration is named, with what to check."""
    outcome = cli(command, "--config.file", tmp_path / "monitor.yml", *options(command, tmp_path))
    assert outcome.code == 1
    assert f"error: {tmp_path / 'monitor.yml'}: " in outcome.err
    assert listing(tmp_path) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option(cli: Any, command: str) -> None:
    """A command without its configuration says which option is missing; exit code 2."""
    outcome = cli(command)
    assert outcome.code == 2
    assert "Missing option '--config.file'" in outcome.err


@pytest.mark.parametrize("command", ["once", "fit"])
@pytest.mark.parametrize("text", ["noon", "", "NaT", "99999999999999", "9999-01-01", "1815-12-10", "2026-02-30"])
def test_times_that_are_none(cli: Any, write_config: Any, document: dict[str, Any], command: str, text: str) -> None:
    """The option, the text and the ways to write a time; exit code 2."""
    outcome = cli(command, "--config.file", write_config(document), "--now", text)
    assert outcome.code == 2
    assert f"Invalid value for --now: {text!r} is not a time; write it like 2026-01-05T13:30:00Z" in outcome.err
