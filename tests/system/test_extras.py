"""Packages of extras: which there are, and that nothing loads one before it is used."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tsdiff_monitor.system.extras import EXTRAS, missing_package

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COLLECTIONS = {"all", "bench", "dev"}

_IMPORT_ALL = """
import importlib, os, pkgutil, sys
os.environ |= {"DEMO_SLACK_URL": "http://127.0.0.1:1/", "DEMO_SLACK_TOKEN": "xoxb-demo"}
sys.modules.update(dict.fromkeys(sys.argv[1].split(",")))
import tsdiff_alerts, tsdiff_connectors, tsdiff_monitor
for package in (tsdiff_alerts, tsdiff_connectors, tsdiff_monitor):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                print(module.name, error.name)
from tsdiff_monitor.cli import main
from importlib.resources import files
main(["check", "config", str(files("tsdiff_monitor") / "demo" / "demo.yaml")])
"""
_LOADED = """
import sys
from tsdiff_monitor.cli import main
try:
    main(sys.argv[2:])
except SystemExit:
    print(*sorted(set(sys.argv[1].split(",")) & set(sys.modules)))
"""


def test_missing_package_is_empty_when_nothing_is_missing() -> None:
    """There is nothing to say about modules that are installed."""
    assert missing_package("the sql reader", "json", "numpy") == ""


def test_missing_package_names_the_package_where_torch_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra would bring torch to a machine at the edge, so the package alone is named, quoted for a shell."""
    for module in ("torch", "psycopg", "recurring_ical_events"):
        monkeypatch.setitem(sys.modules, module, None)
    assert missing_package("PostgreSQL", "psycopg") == "PostgreSQL needs psycopg: pip install 'psycopg[binary]'"
    assert missing_package("`ics`", "recurring_ical_events").endswith("pip install recurring-ical-events")


def test_missing_package_does_not_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which package brings a stranger's module is not known, and the name may be anybody's."""
    monkeypatch.setitem(sys.modules, "acme_wire", None)
    assert missing_package("the acme reader", "acme_wire") == "the acme reader needs acme_wire, which is not installed"


def test_extras_are_those_of_the_project() -> None:
    """Each module's extra brings it, and all that an extra adds to the base installation is in the table."""
    names = {canonicalize_name(module): extra for module, extra in EXTRAS.items()}
    base = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    extras = {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in PROJECT["optional-dependencies"].items()
        if extra not in COLLECTIONS
    }
    assert all(name in extras[extra] for name, extra in names.items())
    assert set().union(*extras.values()) - base == set(names)


def test_all_holds_every_extra_that_brings_something() -> None:
    """`all` leaves out no component."""
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    extras = {name for name, lines in PROJECT["optional-dependencies"].items() if lines}
    assert everything.extras == extras - COLLECTIONS


def test_base_installation_imports_no_extra() -> None:
    """Without any extra all but the sql reader's own modules can be imported, and the demo's configuration is good."""
    done = _python(_IMPORT_ALL, ",".join(EXTRAS))
    assert done.returncode == 0, done.stderr
    *lacking, verdict = done.stdout.splitlines()
    assert ": good: " in verdict
    assert {line.split()[1] for line in lacking} == {"sqlalchemy"}
    assert all(line.startswith("tsdiff_connectors.sql.") for line in lacking)
    assert not {"tsdiff_connectors.sql.reader", "tsdiff_connectors.sql.config"} & {line.split()[0] for line in lacking}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (("--version",), "torch,pandas,numpy,matplotlib,pydantic,sqlalchemy"),
        (("check", "config", "configs/node-exporter.yaml"), "torch,matplotlib,sqlalchemy,statsmodels,sktime"),
    ],
)  # fmt: skip
def test_commands_load_only_what_they_use(arguments: tuple[str, ...], heavy: str) -> None:
    """A command that answers at once does not wait for libraries that it has no use for."""
    done = _python(_LOADED, heavy, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
