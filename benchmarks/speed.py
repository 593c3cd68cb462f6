"""Speed and memory: ``python -m benchmarks.speed --out FILE.json``.

Batch and streaming scores of one group, a whole tick of a monitor, a fit of one machine of SMD's size, the reference
mode's cost beside ours in the same run, and the peak memory of scoring wide and long frames. Without ``--data`` the
frames are synthetic; cost does not depend on the values.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import load_tasks
from benchmarks.figures import machine
from benchmarks.memory import peak_memory
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["main"]


@dataclass(frozen=True)
class _Sizes:
    rows: int = 23_700
    metrics: int = 38
    config: DiffusionModelConfig = field(default_factory=DiffusionModelConfig)
    ticks: int = 100
    reference_windows: int = 2
    wide: tuple[int, int] = (900, 20_000)
    long: tuple[int, int] = (1, 1_000_000)


_QUICK = _Sizes(
    rows=500,
    metrics=3,
    config=DiffusionModelConfig(window=16, fit_steps=10),
    ticks=5,
    reference_windows=1,
    wide=(30, 300),
    long=(1, 600),
)

_STREAMED = 2_000
"""Rows scored in stream mode at once: each has a window of its own, so this is many times slower than batch."""

_TARGETS = {
    "batch_rows_per_second": (">=", 3_000, 20_000),
    "reference_ratio": (">=", 1_000, 10_000),
    "stream_tick_ms": ("<=", 25, 5),
    "fit_seconds": ("<=", 90, 30),
    "wide_peak_mib": ("<=", 2_048, 1_024),
}
"""The least that is asked, and the aim (two cores)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="fit and score its first series instead")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, the figures mean nothing")
    given = parser.parse_args(arguments)
    sizes = _QUICK if given.quick else _Sizes()
    try:
        check_writable(given.out)
        train, test, source = _frames(given.data, sizes)
        print("fitting and timing, some minutes ...", file=sys.stderr)
        figures = _timings(train, test, sizes)
        print("measuring memory ...", file=sys.stderr)
        figures |= _memory(sizes)
        result = {"data": source, "quick": given.quick, "machine": _machine(), "figures": figures}
        with atomic_path(given.out) as part:
            part.write_text(json.dumps(result, indent=1) + "\n")
    except TsdiffError as error:
        print(f"benchmarks.speed: {error}", file=sys.stderr)
        return 2
    print(_table(figures, len(train.series), sizes))
    return 0


def _frames(folder: Path | None, sizes: _Sizes) -> tuple[Frame, Frame, str]:
    from benchmarks.methods.product import as_frame
    from benchmarks.timings import synthetic

    if folder is None:
        both = synthetic(2 * sizes.rows, sizes.metrics)
        return both.rows(0, sizes.rows), both.rows(sizes.rows, 2 * sizes.rows), "synthetic"
    task = next(load_tasks(folder))
    return as_frame(task.train, task.step_seconds), as_frame(task.test, task.step_seconds), task.series


def _timings(train: Frame, test: Frame, sizes: _Sizes) -> dict[str, float]:
    from benchmarks import timings

    detector, fit_seconds = timings.fit(train, sizes.config)
    batch = timings.row_seconds(detector, test, "batch")
    stream = timings.row_seconds(detector, test.rows(0, _STREAMED), "stream", repeats=1)
    with tempfile.TemporaryDirectory() as folder:
        whole_tick = timings.pipeline_tick_seconds(detector, test, Path(folder), ticks=sizes.ticks)
    reference = timings.reference_row_seconds(test, windows=sizes.reference_windows)
    return {
        "fit_seconds": round(fit_seconds, 2),
        "batch_rows_per_second": round(1 / batch),
        "stream_rows_per_second": round(1 / stream),
        "stream_tick_ms": round(1e3 * timings.tick_seconds(detector, test, ticks=sizes.ticks), 3),
        "pipeline_tick_ms": round(1e3 * whole_tick, 3),
        "reference_ms_per_row": round(1e3 * reference, 3),
        "reference_ratio": round(reference / batch),
    }


def _memory(sizes: _Sizes) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, (metrics, rows) in (("wide", sizes.wide), ("long", sizes.long)):
        found |= {f"{name}_{key}": value for key, value in peak_memory(metrics, rows, sizes.config).items()}
    return found


def _machine() -> dict[str, Any]:
    import torch

    return {**machine(), "torch_threads": torch.get_num_threads(), "torch": str(torch.__version__)}


def _table(figures: dict[str, float], metrics: int, sizes: _Sizes) -> str:
    wide, long = ("K = {:,}, T = {:,}".format(*size) for size in (sizes.wide, sizes.long))
    labels = {
        "batch_rows_per_second": f"timestamps per second, {metrics} metrics, batch",
        "stream_rows_per_second": "the same in stream mode, a whole frame at once",
        "stream_tick_ms": f"one streaming tick of one group of {metrics} metrics (ms)",
        "pipeline_tick_ms": "one tick of its monitor: read, score, events, store (ms)",
        "fit_seconds": "fit of one machine (s)",
        "reference_ms_per_row": f"reference mode, per timestamp (ms; from {sizes.reference_windows} windows)",
        "reference_ratio": "ratio of the reference mode's cost to ours",
        "wide_peak_mib": f"peak memory scoring {wide} (MiB)",
        "wide_seconds": f"seconds scoring {wide}",
        "long_peak_mib": f"peak memory scoring {long} (MiB)",
        "long_seconds": f"seconds scoring {long}",
    }
    lines = [f"{'figure':<62}{'measured':>12}{'at least':>12}{'aim':>10}  met"]
    for key, label in labels.items():
        value, target = figures[key], _TARGETS.get(key)
        line = f"{label:<62}{value:>12,.10g}"
        if target:
            sign, least, aim = target
            met = value >= least if sign == ">=" else value <= least
            line += f"{f'{sign} {least:,}':>12}{aim:>10,}  {'yes' if met else 'NO'}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
