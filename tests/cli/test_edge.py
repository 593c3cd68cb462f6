"""A machine at the edge: models come from elsewhere, and torch is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest

pytest.importorskip("onnxscript", reason="the exporter is not installed: pip install 'tsdiff-monitor[onnx]'")

_ONCE = "import sys; sys.modules['torch'] = None; from tsdiff_monitor.cli import main; main(sys.argv[1:])"


@pytest.fixture(autouse=True)
def unchecked_shapes() -> Iterator[None]:
    """Checks of shapes would be traced by the exporter, which then takes the number of windows as fixed."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_once_runs_without_torch(
    cli: Any, write_config: Callable[[Any], Path], document: dict[str, Any], at: Callable[[int], str]
) -> None:
    """Models fit elsewhere score without torch; the events say who is to blame and what was expected of them."""
    document["models"]["default"] |= {"runtime": "onnx", "precision": "int8"}
    document["settings"]["workers"] = 1
    config = write_config(document)
    assert cli("once", "--config.file", config, "--now", at(300)).code == 0
    done = subprocess.run(
        [sys.executable, "-c", _ONCE, "once", "--config.file", config, "--now", at(400)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    assert changes[0]["change"] == "opened"
    assert all(culprit["expected"] is not None for culprit in changes[0]["event"]["culprits"])
