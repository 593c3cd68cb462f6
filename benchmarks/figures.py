"""Measures figures, writes them to a file and prints them: what the smaller benchmarks' commands have in common."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable

__all__ = ["Figures", "machine", "run"]

Figures = dict[str, float]


def run(
    program: str,
    about: str | None,
    arguments: Sequence[str] | None,
    *,
    measure: Callable[[bool], Figures],
    table: Callable[[Figures, bool], str],
) -> int:
    """The command ``python -m benchmarks.PROGRAM``; returns the exit status, 2 for input that is wrong.

    ``measure`` and ``table`` are given whether it is ``--quick``: tiny sizes, whose figures mean nothing.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=about)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, the figures mean nothing")
    given = parser.parse_args(arguments)
    try:
        check_writable(given.out)
        figures = measure(given.quick)
        result = {"quick": given.quick, "machine": machine(), "figures": figures}
        with atomic_path(given.out) as part:
            part.write_text(json.dumps(result, indent=1) + "\n")
    except TsdiffError as error:
        print(f"benchmarks.{program}: {error}", file=sys.stderr)
        return 2
    print(table(figures, given.quick))
    return 0


def machine() -> dict[str, Any]:
    """The conditions of figures besides the code: processors that may be used, load, architecture, Python."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }
