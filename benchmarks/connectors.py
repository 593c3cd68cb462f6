"""The cost of reading from Prometheus: ``python -m benchmarks.connectors --out FILE.json``.

A long history from a real Prometheus beside one curl that fetches the same bytes and orjson that parses them; the CPU
of one tick of a thousand groups; and memory over ten thousand ticks.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import prometheus_history, prometheus_ticks
from benchmarks.figures import Figures, run

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
"""The most that each figure may be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    return run("connectors", __doc__, arguments, measure=_measure, table=_table)


def _measure(quick: bool) -> Figures:
    sizes = _sizes(quick)
    print("reading a history ...", file=sys.stderr)
    figures = _history(sizes)
    print("ticking, some minutes ...", file=sys.stderr)
    return figures | _ticks(sizes) | _memory(sizes)


def _sizes(quick: bool) -> _Sizes:
    return _QUICK if quick else _Sizes()


def _history(sizes: _Sizes) -> Figures:
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


def _ticks(sizes: _Sizes) -> Figures:
    groups, series, ticks = sizes.tick
    return {"tick_cpu_seconds": round(float(np.median(prometheus_ticks.tick_cpu_seconds(groups, series, ticks))), 3)}


def _memory(sizes: _Sizes) -> Figures:
    seen = prometheus_ticks.memory_mib(*sizes.memory)
    return {
        "memory_first_mib": round(seen[0], 1),
        "memory_last_mib": round(seen[-1], 1),
        "memory_growth_percent": round(100 * (max(seen) / seen[0] - 1), 2),
    }


def _table(figures: Figures, quick: bool) -> str:
    sizes = _sizes(quick)
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
