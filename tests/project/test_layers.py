"""The house keeps its order: few modules at its door, floors, and no circles of imports."""

from __future__ import annotations

import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("tsdiff_monitor", "tsdiff_connectors", "tsdiff_alerts")

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def files() -> Graph:
    """Each module with the modules that it imports, also those that it imports within functions."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def siblings(files: Graph, package: str) -> Graph:
    """The files and folders of a package with those of its others that they import from, with all that is in them."""
    depth = package.count(".") + 2
    found: Graph = {}
    for module, imported in files.items():
        for other in imported:
            if module.startswith(f"{package}.") and other.startswith(f"{package}."):
                one, two = (".".join(name.split(".")[:depth]) for name in (module, other))
                found.setdefault(one, set()).update({two} - {one})
    return found


def circle(graph: Graph) -> list[str]:
    """Members of a circle, from one of them round to itself; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_files(files: Graph) -> None:
    """No module imports itself by way of others."""
    assert len(files) > 300
    assert not circle(files)


def test_no_circle_of_folders(files: Graph) -> None:
    """Within each package, no file or folder imports from itself by way of its neighbours."""
    packages = {module.rpartition(".")[0] for module in files} - {""}
    assert {"tsdiff_monitor", "tsdiff_monitor.detectors", "tsdiff_alerts", "tsdiff_connectors.sql"} <= packages
    assert not [found for package in packages if (found := circle(siblings(files, package)))]


def test_a_circle_would_be_found() -> None:
    """Two folders that import from one another are a circle, though no two of their files are."""
    files: Graph = {"p.a.x": {"p.b.y"}, "p.b.y": set(), "p.b.z": {"p.a.w"}, "p.a.w": set()}
    assert not circle(files)
    assert set(circle(siblings(files, "p"))) == {"p.a", "p.b"}


def test_every_room_has_its_floor() -> None:
    """The contract names each part of the engine once, and must name a new one as well."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one for one in contracts if one["type"] == "layers" and one["containers"] == ["tsdiff_monitor"])
    assert layers["exhaustive"] and not layers.get("ignore_imports")
    named = [room.strip() for layer in layers["layers"] for room in layer.split("|")]
    top = ROOT / "tsdiff_monitor"
    rooms = {path.parent.name for path in top.glob("*/__init__.py")} | {path.stem for path in top.glob("*.py")}
    assert sorted(room for room in named if not room.startswith("(")) == sorted(rooms - {"__init__"})


def test_few_modules_are_loose() -> None:
    """Beside its rooms the engine has its face, its command, its errors and the mark that it is typed."""
    loose = {path.name for path in (ROOT / "tsdiff_monitor").iterdir() if path.is_file()}
    assert loose <= {"__init__.py", "__main__.py", "errors.py", "py.typed"}
