"""Robustness to incidents in the training rows: ``python -m benchmarks.contamination --data DIR --out FILE.json``.

Injected incidents (`tsdiff_monitor.injection`) contaminate a share of the training rows; each method is fit on the rows
with them, unlabelled, and scores the real test rows, whose labels are read for the measures alone. A method that learns
what is normal from the bulk of its rows hardly loses; one that learns the incidents no longer sees their like. The
incidents of a smaller share are not those of a larger one: each share and seed draws its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.commands import Record, kept, positive, series_parser
from benchmarks.data import Task, load_tasks
from benchmarks.measures import measure
from benchmarks.methods import METHODS, Setting, chosen
from benchmarks.methods.product import as_frame
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.injection import KINDS, inject
from tsdiff_monitor.system.atomic_files import check_writable

__all__ = ["main"]

_DETECTOR = "diffusion"
_METHODS = (_DETECTOR, "zscore", "pca", "pca_normalised")
_MOST = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 0, or 2 for input that is wrong."""
    given = _parser().parse_args(arguments)
    try:
        shares, methods = _shares(given.shares), chosen(given.methods)
        check_writable(given.out)
        records = kept(_records(load_tasks(given.data, series=given.series), shares, methods, given), given.out)
    except TsdiffError as error:
        print(f"benchmarks.contamination: {error}", file=sys.stderr)
        return 2
    print(f"\nVUS-PR by share of contaminated training rows, {given.data.name}\n\n{_table(records)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = series_parser("contamination", __doc__)
    parser.add_argument("--shares", default="0,0.02,0.05,0.10", metavar="CSV", help="of training rows (%(default)s)")
    parser.add_argument("--methods", default=",".join(_METHODS), metavar="CSV", help="comma separated (%(default)s)")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="seeds 0 to N-1 (%(default)s)")
    parser.add_argument("--fit-steps", type=positive, metavar="N", help="of the detector (its default)")
    return parser


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        raise DataError(f"--shares {text}: must be numbers with commas between, such as 0,0.02,0.1") from None
    if wrong := [share for share in shares if not 0 <= share <= _MOST]:
        raise DataError(f"--shares: {wrong[0]:g} is not a share from 0 to {_MOST:g}")
    return list(dict.fromkeys(shares))


def _records(
    tasks: Iterator[Task], shares: Sequence[float], methods: Sequence[str], given: argparse.Namespace
) -> Iterator[Record]:
    """One record per series, share, method and seed; of a clean history only what the seed changes is repeated."""
    for task in tasks:
        for share in shares:
            for seed in range(given.seeds):
                generator = np.random.default_rng([seed, round(1e6 * share)])
                train = inject(task.train, share=share, kinds=KINDS, generator=generator)
                for method in methods:
                    if seed and not share and not METHODS[method].seeded:
                        continue
                    began = time.perf_counter()
                    score = _fitted(method, given.fit_steps)(train.values, Setting(seed, task.step_seconds))(task.test)
                    yield {
                        "series": task.series, "share": share, "method": method, "seed": seed,
                        "contaminated": round(float(train.labels.mean()), 5), "incidents": len(train.incidents),
                        **measure(task.labels, score, task.test[:, 0].astype(np.float64), task.step_seconds),
                        "seconds": round(time.perf_counter() - began, 2),
                    }  # fmt: skip


def _fitted(method: str, fit_steps: int | None) -> Callable[[np.ndarray, Setting], Callable[[np.ndarray], np.ndarray]]:
    """The method's fit; the detector's with another number of steps where that is asked for."""
    if method != _DETECTOR or fit_steps is None:
        return METHODS[method].fit

    def fit(train: np.ndarray, setting: Setting) -> Callable[[np.ndarray], np.ndarray]:
        from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
        from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

        config = DiffusionModelConfig(seed=setting.seed, fit_steps=fit_steps)
        detector = DiffusionDetector.fit(as_frame(train, setting.step_seconds), config)
        return lambda test: detector.score(as_frame(test, setting.step_seconds), mode="batch").score

    return fit


def _table(records: Sequence[Record]) -> str:
    """Mean over series and seeds, method by share, and what the largest share leaves of the smallest's."""
    data = pd.DataFrame([record for record in records if record["vus_pr"] is not None])
    if data.empty:
        return "no series has labelled anomalies: there is nothing to compare"
    table = data.pivot_table(index="method", columns="share", values="vus_pr")
    table = table.rename(columns=lambda share: f"{100 * share:g} %")
    if table.shape[1] > 1:
        table["kept"] = table.iloc[:, -1] / table.iloc[:, 0]
    return str(table.sort_values(table.columns[0], ascending=False).round(3).to_string())


if __name__ == "__main__":
    sys.exit(main())
