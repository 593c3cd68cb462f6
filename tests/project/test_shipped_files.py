"""What lies beside the code fits the code: configurations, rules, entry points, documentation."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import entry_points, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tsdiff_monitor.config.lint import lint
from tsdiff_monitor.config.loader import load_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_loads(path: Path) -> None:
    """Each file in configs/ is valid as it is shipped, and its comments name what it takes from outside."""
    needed = re.findall(r"\$\{(\w+)\}", path.read_text())
    assert load_config(path, environ=dict.fromkeys(needed, "postgresql://user@localhost/db")).monitors
    for name in needed:
        assert re.search(rf"^# .*\b{name}\b", path.read_text(), re.MULTILINE)


def test_rules_use_exported_metrics() -> None:
    """Every metric in grafana/ is one that the process exports."""
    documented = set(re.findall(r"^\| `(tsdiff_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    for path in (ROOT / "grafana").rglob("*.yaml"):
        rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
        assert rules
        for rule in rules:
            used = set(re.findall(r"tsdiff_\w+", rule["expr"]))
            assert used and used <= documented, f"{path.name}: {rule['alert']} uses {used - documented}"


def test_entry_points_are_installed() -> None:
    """The installed plug-ins are those of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group, declared in project["entry-points"].items():
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert declared.items() <= installed.items()


def test_readme_links_lead_somewhere() -> None:
    """Every relative link of the README and of docs/ names a file that exists."""
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_no_package_collides_in_site_packages() -> None:
    """`connectors` and `alerts` are folders, not packages: their names belong to nobody."""
    for folder in ("connectors", "alerts"):
        assert not (ROOT / folder / "__init__.py").exists()


def test_first_configuration_of_the_readme_is_good(tmp_path: Path) -> None:
    """What a newcomer copies works as it stands, without a warning."""
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    path = tmp_path / "monitor.yml"
    path.write_text(block.group(1))
    assert lint(load_config(path, environ={})) == []


def test_edge_installation_is_complete() -> None:
    """The requirements without torch hold all that scoring needs, down to the last one, in the tested versions."""
    pinned = dict(line.split("==") for line in _lines("deploy/edge-requirements.txt"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(pinned) == _closure([*project["dependencies"], "onnxruntime"], without={"torch", "sktime"})
    assert pinned.items() <= dict(line.split("==") for line in _lines("constraints.txt")).items()
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "deploy/edge-requirements.txt" in shipped["shared-data"]


def test_constraints_hold_every_package() -> None:
    """All that tests are run with has its exact version in constraints.txt; what torch needs depends on its build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    needed = _closure([line for line in everything if not line.startswith("tsdiff-monitor[")], without={"torch"})
    assert needed - {line.split("==")[0] for line in _lines("constraints.txt")} == set()


def test_every_library_has_its_reason() -> None:
    """ADR 2 names each package of pyproject.toml that the product imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name not in ("all", "dev")}
    named = (ROOT / "docs/adr/0002-libraries.md").read_text()
    for line in [*project["dependencies"], *itertools.chain(*extras.values())]:
        assert re.search(rf"\b{re.escape(Requirement(line).name)}\b", named, re.IGNORECASE), line


def _lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def _closure(lines: Iterable[str], *, without: set[str]) -> set[str]:
    """The packages that ``lines`` need on this machine, dependencies of dependencies included."""
    asked: dict[str, set[str]] = {}
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), requirement.extras | {""}
        if name in without or extras <= asked.get(name, set()):
            continue
        asked.setdefault(name, set()).update(extras)
        needs = map(Requirement, requires(name) or ())
        waiting += [need for need in needs if _applies(need, extras)]
    return set(asked)


def _applies(need: Requirement, extras: Iterable[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
