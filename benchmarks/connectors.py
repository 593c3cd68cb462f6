"""What reading from Prometheus costs: ``python -m benchmarks.connectors --out FILE.json``.

A long history from a real Prometheus beside one curl that fetches the same bytes and orjson that parses them; the CPU
of one tick of a thousand groups; and memory over ten thousand ticks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import prometheus_history, prometheus_ticks
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.outputs import atomic_path, check_writable

__all__ = ["main"]


@dataclass(frozen=True)
class _Sizes:
    history: tuple[int, int] = (14 * 1440, 38)
    """Rows and series."""
    repeats: int = 5
    tick: tuple[int, int, int] = (1000, 38, 10)
    """Groups, series of each, and ticks."""
    memory: tuple[int, int, int] = (20, 2, 10_000)


_QUICK = _Sizes(history=(300, 3), repeats=2, tick=(5, 3, 2), memory=(3, 1, 50))

_TARGETS = {"history_ratio": 1.5, "tick_cpu_seconds": 2.0, "memory_growth_percent": 5.0}
"""What each figure may be at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connectors", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, the figures mean nothing")
    given = parser.parse_args(arguments)
    sizes = _QUICK if given.quick else _Sizes()
    try:
        check_writable(given.out)
        print("reading a history ...", file=sys.stderr)
        figures = _history(sizes)
        print("ticking, some minutes ...", file=sys.stderr)
        figures |= _ticks(sizes) | _memory(sizes)
        result = {"quick": given.quick, "machine": _machine(), "figures": figures}
        with atomic_path(given.out) as part:
            part.write_text(json.dumps(result, indent=1) + "\n")
    except TsdiffError as error:
        print(f"benchmarks.connectors: {error}", file=sys.stderr)
        return 2
    print(_table(figures, sizes))
    return 0


def _history(sizes: _Sizes) -> dict[str, float]:
    """Both sides in turn, so that both meet the same load of the machine."""
    rows, series = sizes.history
    values, text = prometheus_history.history(series, rows)
    reads, curls, size = [], [], 0
    with tempfile.TemporaryDirectory() as name, prometheus_history.prometheus(text, Path(name)) as url:
        prometheus_history.curl_seconds(url, sizes.history, Path(name))  # the server's first answer reads from disk
        for _ in range(sizes.repeats):
            reads.append(prometheus_history.read_seconds(url, values))
            seconds, size = prometheus_history.curl_seconds(url, sizes.history, Path(name))
            curls.append(seconds)
    read, curl = float(np.median(reads)), float(np.median(curls))
    return {
        "history_read_seconds": round(read, 3),
        "history_curl_seconds": round(curl, 3),
        "history_mib": round(size / 2**20, 1),
        "history_ratio": round(read / curl, 2),
    }


def _ticks(sizes: _Sizes) -> dict[str, float]:
    groups, series, ticks = sizes.tick
    return {"tick_cpu_seconds": round(float(np.median(prometheus_ticks.tick_cpu_seconds(groups, series, ticks))), 3)}


def _memory(sizes: _Sizes) -> dict[str, float]:
    seen = prometheus_ticks.memory_mib(*sizes.memory)
    return {
        "memory_first_mib": round(seen[0], 1),
        "memory_last_mib": round(seen[-1], 1),
        "memory_growth_percent": round(100 * (max(seen) / seen[0] - 1), 2),
    }


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _table(figures: dict[str, float], sizes: _Sizes) -> str:
    rows, series = sizes.history
    groups, each, _ = sizes.tick
    labels = {
        "history_read_seconds": f"{series} series x {rows:,} rows from Prometheus into a frame (s)",
        "history_curl_seconds": f"the same {figures['history_mib']} MiB by curl, parsed by orjson (s)",
        "history_ratio": "ratio of the two",
        "tick_cpu_seconds": f"a tick of {groups:,} groups x {each} series: CPU seconds",
        "memory_first_mib": f"resident memory after {sizes.memory[2] // 5:,} ticks (MiB)",
        "memory_last_mib": f"after {sizes.memory[2]:,} ticks (MiB)",
        "memory_growth_percent": "the most it grew by (%)",
    }
    lines = [f"{'figure':<62}{'measured':>12}{'at most':>10}  met"]
    for key, label in labels.items():
        value, most = figures[key], _TARGETS.get(key)
        line = f"{label:<62}{value:>12,.10g}"
        if most is not None:
            line += f"{most:>10,}  {'yes' if value <= most else 'NO'}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
