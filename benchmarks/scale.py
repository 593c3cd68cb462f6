"""Scale of one process: ``python -m benchmarks.scale --out FILE.json``.

Many groups that share a network, one new row each: the network and scoring alone, in batches and one by one; the whole
tick of their monitor from a reader in memory, commit included, with its transactions; and the memory that it takes. The
models are fit and copied by a process of its own, so that only the daemon's side is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.figures import machine
from benchmarks.timings import synthetic
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.batch import BatchScorer
from tsdiff_monitor.pipeline.detectors import ModelRef
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.score import Failed, LocalScorer, Scorer, ScoreTask
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["SlicedReader", "main"]

_MONITOR, _STEP = "fleet", pd.Timedelta(minutes=1)
_DISTINCT = 4
"""Groups that are fit; the others are copies under names of their own."""


@dataclass(frozen=True)
class _Sizes:
    groups: int = 1000
    metrics: int = 38
    rows: int = 2880
    ticks: int = 5
    config: DiffusionModelConfig = field(default_factory=lambda: DiffusionModelConfig(shared=True, fit_steps=100))


_QUICK = _Sizes(
    groups=6, metrics=3, rows=200, ticks=2, config=DiffusionModelConfig(shared=True, window=16, fit_steps=10)
)
_TARGETS = {"score_seconds": 2.5, "tick_seconds": 6.0, "transactions": 1, "kib_per_series": 48.0}
"""At most, for the default sizes on two cores."""


class SlicedReader:
    """Answers with slices of frames in memory: the cost of a source is its own."""

    def __init__(self, frames: Mapping[Group, Frame]) -> None:
        self._frames = frames

    def read(self, request: ReadRequest) -> Reading:
        """Each group's rows of the request's span."""
        return Reading({group: frame.between(request.start, request.end) for group, frame in self._frames.items()})


class _Counted(sqlite3.Connection):
    """Counts the transactions that write."""

    begun = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            type(self).begun += 1
        return super().execute(sql, *arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scale.json"), metavar="FILE.json")
    parser.add_argument("--groups", type=int, default=_Sizes.groups, help="groups of the monitor")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, the figures mean nothing")
    parser.add_argument("--prepare", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    sizes = _QUICK if given.quick else _Sizes(groups=given.groups)
    if given.prepare is not None:
        _prepare(given.prepare, sizes)
        return 0
    try:
        check_writable(given.out)
        with tempfile.TemporaryDirectory() as folder:
            print("fitting the shared network, a minute ...", file=sys.stderr)
            quick = ["--quick"] if given.quick else ["--groups", str(given.groups)]
            command = [sys.executable, "-m", "benchmarks.scale", "--prepare", folder, *quick]
            subprocess.run(command, check=True)  # noqa: S603 - this module
            figures = _measure(Path(folder), sizes)
        result = {"quick": given.quick, "machine": _machine(), "groups": sizes.groups, "metrics": sizes.metrics}
        with atomic_path(given.out) as part:
            part.write_text(json.dumps({**result, "figures": figures}, indent=1) + "\n")
    except TsdiffError as error:
        print(f"benchmarks.scale: {error}", file=sys.stderr)
        return 2
    print(_table(figures, sizes))
    return 0


def _groups(sizes: _Sizes) -> list[Group]:
    return [(("instance", f"host-{n:05d}"),) for n in range(sizes.groups)]


def _frames(sizes: _Sizes, rows: int) -> dict[Group, Frame]:
    """The newest ``rows`` rows of every group; groups of one kind share their memory, as no daemon's rows would."""
    kinds = [synthetic(sizes.rows + sizes.ticks + 10, sizes.metrics, seed=seed) for seed in range(_DISTINCT)]
    rng = np.random.default_rng(0)
    frames = {}
    for n, group in enumerate(_groups(sizes)):
        kind = kinds[n % _DISTINCT]
        newest = kind.rows(len(kind) - rows, len(kind))
        noise = rng.normal(0, 0.01, newest.values.shape).astype(np.float32)
        frames[group] = Frame(newest.start, newest.step, newest.values + noise, newest.series)
    return frames


def _prepare(folder: Path, sizes: _Sizes) -> None:
    """Fit one shared network and the models of a few groups, and copy these for all."""
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared

    models = ModelStore(folder / "models")
    kinds = [synthetic(sizes.rows, sizes.metrics, seed=seed) for seed in range(_DISTINCT)]
    network = fit_shared(kinds, sizes.config)
    models.put_shared(_MONITOR, network, "benchmark")
    groups = _groups(sizes)
    for n, group in enumerate(groups):
        if n < _DISTINCT:
            models.put(_MONITOR, group, DiffusionDetector.fit(kinds[n], sizes.config, base=network), "benchmark")
        else:
            source = models.path(_MONITOR, groups[n % _DISTINCT])
            shutil.copytree(source, models.path(_MONITOR, group), copy_function=os.link)


def _measure(folder: Path, sizes: _Sizes) -> dict[str, float]:
    models = ModelStore(folder / "models", kept=max(sizes.groups, 1))
    window = models.get(_MONITOR, _groups(sizes)[0]).window
    before = _resident_mib()
    frames = _frames(sizes, 2 * window + sizes.ticks + 2)
    began = time.perf_counter()
    for group in frames:
        models.get(_MONITOR, group)
    figures = {"load_seconds": time.perf_counter() - began}
    tasks = [
        ScoreTask(group, frame.rows(0, window + 1), window, ModelRef(_MONITOR, group), 0.01, {})
        for group, frame in frames.items()
    ]
    figures["score_seconds"] = _best(lambda: _scored(BatchScorer(models), tasks), sizes.ticks)
    figures["score_one_by_one_seconds"] = _best(lambda: _scored(LocalScorer(models), tasks), 1)
    with Store(folder / "state.sqlite", factory=_Counted) as store:
        pipeline = Pipeline(
            name=_MONITOR,
            monitor=MonitorConfig.model_validate(
                {
                    "reader": "memory",
                    "scheduler": "each",
                    "step": "1m",
                    "groupby": ["instance"],
                    "queries": {"all": "*"},
                    "alarms_per_week": 10.0,
                }
            ),
            model=sizes.config,
            scheduler=SchedulerConfig(infer_every=timedelta(minutes=1), offset=timedelta(0)),
            reader=SlicedReader(frames),
            store=store,
            models=models,
        )
        end = next(iter(frames.values())).end
        seconds = []
        for now in (end - _STEP * n for n in range(sizes.ticks, -1, -1)):
            _Counted.begun = 0
            began = time.perf_counter()
            done = pipeline.tick(now, cold_start=True, absent=True)
            seconds.append(time.perf_counter() - began)
            if done.errors or done.groups != sizes.groups:
                raise TsdiffError(f"a tick scored {done.groups} of {sizes.groups} groups: {done.errors[:3]}")
        figures["tick_seconds"] = float(np.median(seconds[1:]))
        figures["transactions"] = _Counted.begun
    resident = _resident_mib()
    figures["resident_mib"] = resident
    figures["resident_before_groups_mib"] = before
    figures["kib_per_series"] = resident * 1024 / (sizes.groups * sizes.metrics)
    figures["kib_per_series_beyond_the_first_group"] = (resident - before) * 1024 / (sizes.groups * sizes.metrics)
    return {name: round(value, 3) for name, value in figures.items()}


def _scored(scorer: Scorer, tasks: Sequence[ScoreTask]) -> None:
    failed = [one.error for one in scorer.score(tasks) if isinstance(one, Failed)]
    if failed:
        raise failed[0]


def _best(work: Callable[[], None], repeats: int) -> float:
    """Seconds of the best of ``repeats``, after one that prepares what later ones reuse."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _resident_mib() -> float:
    """Memory of this process that is resident now (Linux)."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _machine() -> dict[str, Any]:
    import torch

    return {**machine(), "torch_threads": torch.get_num_threads(), "torch": str(torch.__version__)}


def _table(figures: Mapping[str, float], sizes: _Sizes) -> str:
    labels = {
        "score_seconds": "network and scoring alone, in batches (s)",
        "score_one_by_one_seconds": "the same one by one (s)",
        "tick_seconds": "whole tick, commit included, from memory (s)",
        "transactions": "transactions of a tick",
        "load_seconds": "loading all models from disk, once (s)",
        "resident_mib": "resident memory of the process (MiB)",
        "kib_per_series": "resident memory by series (KiB)",
        "kib_per_series_beyond_the_first_group": "beyond the process with one group (KiB)",
    }
    lines = [f"{sizes.groups:,} groups x {sizes.metrics} metrics, one new row, one shared network"]
    for name, label in labels.items():
        bound = f"   at most {_TARGETS[name]:g}" if name in _TARGETS else ""
        lines.append(f"{label:<55}{figures[name]:>10,.2f}{bound}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
