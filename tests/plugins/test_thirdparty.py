"""A plug-in of somebody else enters through the same door as the built-in ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "thirdparty"


def test_a_distribution_with_an_entry_point_is_found_and_conforms() -> None:
    """Installed beside this package, its reader loads by type and passes the reader kit, run as its author would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "error"]
    done = subprocess.run(
        [*command, "--rootdir", str(HERE), str(HERE / "conformance.py")],
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout and "skipped" not in done.stdout
