"""The tutorial's notifier is a package of a stranger: short, installed by its entry point, tested by its own tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ntfy-notifier"
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the example in it, as its wheel would lie there; nothing is downloaded."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    meta, target = project["project"], tmp_path_factory.mktemp("site")
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        shutil.copy(EXAMPLE / name, target)
    info = target / f"{meta['name'].replace('-', '_')}-{meta['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n")
    groups = meta["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return target


def python(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python with the example installed."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_is_short() -> None:
    """Configuration, class, packaging and tests of a notifier take fewer than 150 lines together."""
    files = {path.name: path.read_text() for path in EXAMPLE.iterdir() if path.is_file()}
    assert {"pyproject.toml", "tsdiff_ntfy.py", "test_tsdiff_ntfy.py"} == set(files)
    assert sum(len(text.splitlines()) for text in files.values()) < 150


def test_it_needs_only_what_is_public() -> None:
    """The module imports from the two faces for plug-ins, and nothing of the engine's inside."""
    used = re.findall(r"^from (tsdiff_\w+(?:\.\w+)*) import", (EXAMPLE / "tsdiff_ntfy.py").read_text(), re.MULTILINE)
    assert set(used) == {"tsdiff_monitor.http", "tsdiff_monitor.plugins"}


def test_its_own_tests_pass(site: Path) -> None:
    """Installed, it conforms to the kit and is found by its type."""
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "error", "--rootdir", site]
    done = python(site, "-m", "pytest", *options, EXAMPLE / "test_tsdiff_ntfy.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^12 passed", done.stdout, re.MULTILINE), done.stdout


def test_a_configuration_may_use_its_type(site: Path, tmp_path: Path) -> None:
    """`check config` takes the tutorial's configuration, and refuses a key that the notifier does not have."""
    (text,) = blocks("yaml")
    (tmp_path / "topic").write_text("alarms-7Kd2")
    text = text.replace("/etc/tsdiff-monitor/ntfy.topic", str(tmp_path / "topic"))
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(text)
    bad.write_text(text.replace("topic_file:", "topik_file:"))
    done = python(site, "-m", "tsdiff_monitor", "check", "config", good)
    assert done.returncode == 0, done.stdout + done.stderr
    done = python(site, "-m", "tsdiff_monitor", "check", "config", bad)
    assert done.returncode != 0
    assert "notifiers.phone.topik_file" in done.stderr and "topic_file" in done.stderr


def test_without_the_package_its_type_is_unknown(tmp_path: Path) -> None:
    """The type comes from the package alone: without it, the configuration is refused with the types there are."""
    (tmp_path / "monitor.yml").write_text(blocks("yaml")[0])
    done = python(tmp_path, "-m", "tsdiff_monitor", "check", "config", tmp_path / "monitor.yml")
    assert done.returncode != 0
    assert "no notifier of type 'ntfy'" in done.stderr and "alertmanager" in done.stderr


@pytest.mark.parametrize(("language", "number"), [("toml", 1), ("python", 3)])
def test_the_code_shown_is_the_code(language: str, number: int) -> None:
    """Each piece of code on the page stands in a file of the package, as it is."""
    shown = blocks(language)
    assert len(shown) == number
    files = [path.read_text() for path in EXAMPLE.iterdir() if path.is_file()]
    for block in shown:
        assert any(block in text for text in files), block


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
