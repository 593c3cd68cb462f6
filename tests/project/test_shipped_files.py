"""What lies beside the code fits the code: configurations, rules, entry points, documentation."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

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


def test_edge_installation_names_every_dependency() -> None:
    """What is installed by hand where torch is left out is all that the package needs, but torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>=~!]", requirement)[0] for requirement in project["dependencies"]}
    page = (ROOT / "docs/operations.md").read_text()
    command = re.search(r"pip install (onnxruntime (?:.*\\\n)*.*)", page)
    assert command is not None
    assert set(command[1].replace("\\", "").split()) == needed - {"torch"} | {"onnxruntime"}
