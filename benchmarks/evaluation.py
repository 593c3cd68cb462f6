"""Runs methods on tasks and keeps the records in a file that is whole after every one of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Task
from benchmarks.measures import measure
from benchmarks.methods import METHODS, Setting
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.system.atomic_files import atomic_path

__all__ = ["Record", "Results", "evaluate", "run"]

Record = dict[str, Any]


@dataclass
class Results:
    """The records of one result file: a JSON list, rewritten atomically with each record."""

    path: Path
    protocol: str
    records: list[Record] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, protocol: str, *, resume: bool) -> Results:
        """An empty collection, or with ``resume`` what ``path`` holds. :class:`DataError` if that cannot be resumed."""
        if not (resume and path.exists()):
            return cls(path, protocol)
        try:
            records = json.loads(path.read_text())
            others = {record["protocol"] for record in records} - {protocol}
        except (OSError, ValueError, TypeError, KeyError):
            raise DataError(f"{path}: not a result file of this benchmark; leave out --resume to replace it") from None
        if others:
            raise DataError(f"{path}: holds results of the {', '.join(sorted(others))} protocol; name another --out")
        # What failed is tried again.
        return cls(path, protocol, [record for record in records if "error" not in record])

    def has(self, series: str, method: str, seed: int) -> bool:
        """True if this was measured already."""
        key = (series, method, seed)
        return any((r["series"], r["method"], r["seed"]) == key for r in self.records)

    def add(self, record: Record) -> None:
        """Keep a record, on disk too."""
        self.records.append(record)
        with atomic_path(self.path) as part:
            part.write_text(json.dumps(self.records, indent=1) + "\n")


def evaluate(task: Task, protocol: str, name: str, seed: int) -> Record:
    """Fit, score and measure one method on one task. A method that fails gives a record with ``error``."""
    record: Record = {"series": task.series, "protocol": protocol, "method": name, "seed": seed}
    began = time.perf_counter()
    try:
        scorer = METHODS[name].fit(task.train, Setting(seed, task.step_seconds))
        fitted = time.perf_counter()
        score = scorer(task.test)
        scored = time.perf_counter()
    except Exception as error:  # one series that a method cannot take must not end a run of hours
        return record | {"vus_pr": None, "error": f"{type(error).__name__}: {error}"}
    record |= measure(task.labels, score, task.test[:, 0].astype(np.float64), task.step_seconds)
    record |= {"fit_seconds": round(fitted - began, 3), "score_seconds": round(scored - fitted, 3)}
    record |= {"rows": len(task.test), "train_rows": len(task.train), "metrics": task.test.shape[1]}
    return record | ({"published": dict(task.published)} if task.published else {})


def run(
    tasks: Iterable[Task],
    results: Results,
    methods: list[str],
    *,
    seeds: int,
    jobs: int,
    report: Callable[[Record], None],
) -> None:
    """Every method on every task, with ``seeds`` seeds where the seed matters; what ``results`` holds is skipped."""
    wanted = (
        (task, results.protocol, name, seed)
        for task in tasks
        for name in methods
        for seed in range(seeds if METHODS[name].seeded else 1)
        if not results.has(task.series, name, seed)
    )
    for record in _evaluated(wanted, jobs):
        results.add(record)
        report(record)


def _evaluated(wanted: Iterator[tuple[Task, str, str, int]], jobs: int) -> Iterator[Record]:
    if jobs == 1:
        for arguments in wanted:
            yield evaluate(*arguments)
        return
    # Fresh processes: torch's threads do not survive a fork. Few tasks wait at once, so that memory stays bounded.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        pending: set[Future[Record]] = set()
        for arguments in wanted:
            pending.add(pool.submit(evaluate, *arguments))
            if len(pending) >= 2 * jobs:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in wait(pending).done)


def _one_thread() -> None:
    """In a worker, before torch is loaded: several processes with several threads each only wait for each other."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
