"""One network for all series of a folder: ``python -m benchmarks.shared --data DIR --out FILE.json``.

One network is fit on the training rows of all series together, and then served to each, without training on the series
itself unless ``--adapt-steps`` asks for it. Series named by ``--unseen`` are left out of the fit, and scored like all:
what a group gets that appears later. With ``--against``, a result file of ``benchmarks.accuracy``, the VUS-PR of every
series is compared with that of the model fit on it alone, the mean over seeds. Labels are read for the measures only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import Record, kept, series_parser
from benchmarks.data import Task, load_tasks
from benchmarks.measures import measure
from benchmarks.methods.product import as_frame
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.system.atomic_files import check_writable

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> int:
    """Run the benchmark; returns the exit status: 0, or 2 for input that is wrong."""
    given = _parser().parse_args(arguments)
    try:
        check_writable(given.out)
        alone = _alone(given.against, given.method) if given.against else {}
        tasks = list(load_tasks(given.data, series=given.series))
        unseen = {task.series for task in tasks if any(fnmatch(task.series, glob) for glob in given.unseen.split(","))}
        if len(unseen) == len(tasks):
            raise DataError(f"--unseen {given.unseen}: leaves no series to fit on")
        if given.unseen and not unseen:
            raise DataError(f"--unseen {given.unseen}: no series has such a name")
        records = kept(_records(tasks, unseen, alone, given, clock), given.out)
    except TsdiffError as error:
        print(f"benchmarks.shared: {error}", file=sys.stderr)
        return 2
    print(f"\n{_table(records)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = series_parser("shared", __doc__)
    parser.add_argument("--unseen", default="", metavar="GLOBS", help="series to score but not fit on, comma separated")
    parser.add_argument("--against", type=Path, metavar="FILE.json", help="result file of benchmarks.accuracy")
    parser.add_argument("--method", default="diffusion", help="method of that file to compare with (%(default)s)")
    parser.add_argument("--adapt-steps", type=int, default=0, metavar="N", help="training on each series (%(default)s)")
    parser.add_argument("--fit-steps", type=int, metavar="N", help="of the shared network (its default)")
    parser.add_argument("--seed", type=int, default=0, help="of the shared network (%(default)s)")
    return parser


def _alone(path: Path, method: str) -> dict[str, float]:
    """VUS-PR of each series' own model: the mean over the seeds of a result file."""
    try:
        records = [r for r in json.loads(path.read_text()) if r["method"] == method and r["vus_pr"] is not None]
        values: dict[str, list[float]] = {}
        for record in records:
            values.setdefault(record["series"], []).append(float(record["vus_pr"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not a result file of benchmarks.accuracy ({error})") from None
    if not values:
        raise DataError(f"{path}: holds no result of the method {method!r}; name another --method")
    return {series: float(np.mean(found)) for series, found in values.items()}


def _records(
    tasks: list[Task], unseen: set[str], alone: dict[str, float], given: argparse.Namespace, clock: Callable[[], float]
) -> Any:
    """The fit's record, then one of each series."""
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared

    chosen = {} if given.fit_steps is None else {"fit_steps": given.fit_steps}
    config = DiffusionModelConfig(shared=True, adapt_steps=given.adapt_steps, seed=given.seed, **chosen)
    histories = {task.series: as_frame(task.train, task.step_seconds) for task in tasks}
    began, busy = clock(), time.process_time()
    network = fit_shared([frame for name, frame in histories.items() if name not in unseen], config)
    seconds, busy = clock() - began, time.process_time() - busy
    yield {
        "fit_on": network.card.groups, "steps": network.card.steps,
        "fit_seconds": round(seconds, 1), "fit_cpu_seconds": round(busy, 1),
    }  # fmt: skip
    for task in tasks:
        began = clock()
        detector = DiffusionDetector.fit(histories[task.series], config, base=network)
        served = clock()
        score = detector.score(as_frame(task.test, task.step_seconds), mode="batch").score
        scored = clock()
        record: Record = {"series": task.series, "seen": task.series not in unseen, "metrics": task.test.shape[1]}
        record |= measure(task.labels, score, task.test[:, 0].astype(np.float64), task.step_seconds)
        record |= {"alone": alone.get(task.series)}
        yield record | {"serve_seconds": round(served - began, 2), "score_seconds": round(scored - served, 2)}


def _table(records: list[Record]) -> str:
    fit, *series = records
    lines = [
        f"One network fit on {fit['fit_on']} series in {fit['fit_seconds']:.0f} s ({fit['steps']} steps, "
        f"{fit['fit_cpu_seconds']:.0f} s of processor time)",
        "",
        "| series | seen in the fit | VUS-PR | of its own model | share | served in |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(record["series"], "yes" if record["seen"] else "no", [record]) for record in series),
    ]
    for name, wanted in (("all", (True, False)), ("seen", (True,)), ("unseen", (False,))):
        part = [record for record in series if record["seen"] in wanted]
        if name == "all" or 0 < len(part) < len(series):
            lines.append(_row(f"mean, {name} {len(part)}", "", part))
    return "\n".join(lines)


def _row(name: str, seen: str, records: list[Record]) -> str:
    """Means over the records; the share is of those that have both figures."""
    own = [record["vus_pr"] for record in records if record["vus_pr"] is not None]
    pairs = [(r["vus_pr"], r["alone"]) for r in records if None not in (r["vus_pr"], r["alone"])]
    shared, alone = (float(np.mean(part)) for part in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
    figures = [f"{np.mean(own):.3f}" if own else "", f"{alone:.3f}" if pairs else ""]
    figures += [f"{shared / alone:.0%}" if alone > 0 else "", f"{np.mean([r['serve_seconds'] for r in records]):.1f} s"]
    return f"| {name} | {seen} | {' | '.join(figures)} |"


if __name__ == "__main__":
    sys.exit(main())
