"""Help texts and docs/commands.md against the commands there are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import tsdiff_monitor
from tsdiff_monitor.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words: ``check config``."""
    command = typer.main.get_command(app) if command is None else command
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, one in command.commands.items():
        yield from commands(one, (*path, name))


COMMANDS = dict(commands())


def parameters(command: click.Command) -> set[str]:
    """Its options by their flags, and its arguments by their metavars."""
    found = set[str]()
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            found.add(str(parameter.metavar))
        else:
            found.update(parameter.opts)
    return found - {"--help"}


def chapter(name: str) -> str:
    found = re.search(rf"^## `{re.escape(name)}`\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/commands.md has no chapter for {name}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_an_example(cli: Any, name: str) -> None:
    """``--help`` of every command shows a whole command line, and says what every option means."""
    outcome = cli(*name.split(), "--help")
    assert outcome.code == 0
    assert f"Example: tsdiff-monitor {name}" in outcome.out
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """The chapter's table has a row for each option and argument, and none for others."""
    table = re.search(r"^\| (option|argument) \|.*?(?=\n\n|\Z)", chapter(name), re.MULTILINE | re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| `([^` ]+)[^`]*` \|", table[0], re.MULTILINE)
    assert set(rows) == parameters(COMMANDS[name])
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_documented(name: str) -> None:
    """A default that is a number or a text is in the option's row."""
    for parameter in COMMANDS[name].params:
        if parameter.default in (None, False) or parameter.param_type_name == "argument" or callable(parameter.default):
            continue
        (row,) = re.findall(rf"^\| `{re.escape(parameter.opts[0])}[ `].*$", chapter(name), re.MULTILINE)
        default = getattr(parameter.default, "value", parameter.default)
        assert f"`{default:g}`" in row if isinstance(default, float) else f"`{default}`" in row


def test_no_chapter_is_left_over() -> None:
    """Every chapter about a command is about one there is."""
    assert set(re.findall(r"^## `([^`]+)`$", DOCUMENT, re.MULTILINE)) == set(COMMANDS)


def test_version(cli: Any) -> None:
    """``--version`` needs no command."""
    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"tsdiff-monitor {tsdiff_monitor.__version__}\n")


def test_start_up_is_light() -> None:
    """Help and configuration checks do not wait for torch, pandas' plotting or statistics."""
    heavy = ("torch", "matplotlib", "statsmodels", "sktime", "scipy")
    code = f"import sys, tsdiff_monitor.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
