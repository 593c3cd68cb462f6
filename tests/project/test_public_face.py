"""What ``import tsdiff_monitor`` gives, and what it costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import tsdiff_monitor


def test_the_names_of_the_library_are_there() -> None:
    """Data, detectors and the plug-in contracts are found at the top."""
    assert {"Frame", "Scores", "DiffusionDetector", "fit_detector", "load_detector"} <= set(tsdiff_monitor.__all__)
    assert {"Reader", "Writer", "Notifier", "Context", "Query", "ReadRequest", "Reading"} <= set(tsdiff_monitor.__all__)
    for name in tsdiff_monitor.__all__:
        assert getattr(tsdiff_monitor, name) is not None
        assert name in dir(tsdiff_monitor)


def test_all_names_what_type_checkers_see() -> None:
    """``__all__`` names all that is imported for type checkers and the version, and each is what they see."""
    tree = ast.parse(inspect.getsource(tsdiff_monitor))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted({*homes, "__version__"}) == sorted(tsdiff_monitor.__all__)
    for name, home in homes.items():
        assert home is not None
        __import__(home)
        assert getattr(tsdiff_monitor, name) is getattr(sys.modules[home], name)


def test_importing_it_loads_nothing_heavy() -> None:
    """``import tsdiff_monitor`` loads neither torch nor pandas; its names are there all the same."""
    code = """
import sys
import tsdiff_monitor as t
print([name for name in ("torch", "pandas", "numpy", "pydantic", "httpx") if name in sys.modules])
t.Frame
print("torch" in sys.modules)
t.DiffusionDetector
print(t.DiffusionDetector.__name__, t.Frame.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["[]", "False", "DiffusionDetector Frame"]


def test_an_unknown_name_is_refused() -> None:
    """A name that is not there is an AttributeError that says so."""
    try:
        tsdiff_monitor.Nothing  # noqa: B018
    except AttributeError as error:
        assert "Nothing" in str(error)
    else:
        raise AssertionError("there is no such name")
