"""Accuracy on labelled series: ``python -m benchmarks.accuracy --data DIR --out FILE.json``.

Every Parquet file of the folder (columns ``t``, metrics, ``split``, ``label``) is fit on its rows with split 0 and
scored on those with split 1, by every method in the same run, with one configuration for all series. One record per
series, method and seed; a table with the means is printed. Labels are read for the metrics alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.vus import metric_window, vus_pr
from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.detector import DiffusionDetector, Mode
from tsdiff_monitor.frame import Frame, Series
from tsdiff_monitor.outputs import atomic_path

Method = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, float, float]]
"""(train ``[N, K]``, test ``[T, K]``, seed) to (score ``[T]``, fit seconds, score seconds)."""


def zscore(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """Mean absolute z-score; the deviation at least 0.01."""
    del seed
    began = time.perf_counter()
    mean, deviation = train.mean(0), np.maximum(train.std(0), 0.01)
    fitted = time.perf_counter()
    return np.abs((test - mean) / deviation).mean(1), fitted - began, time.perf_counter() - fitted


def pca(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """Squared reconstruction error by the components that explain 90 % of the variance, per-metric normalised."""
    del seed
    began = time.perf_counter()
    mean, deviation = train.mean(0), np.maximum(train.std(0), 0.01)
    z = (train - mean) / deviation
    variance, vectors = np.linalg.eigh(np.cov(z, rowvar=False))
    kept = int(np.searchsorted(np.cumsum(variance[::-1]) / variance.sum(), 0.9)) + 1
    basis = vectors[:, ::-1][:, :kept]
    normaliser = ((z - z @ basis @ basis.T) ** 2).mean(0) + 1e-4
    fitted = time.perf_counter()
    x = (test - mean) / deviation
    score = ((x - x @ basis @ basis.T) ** 2 / normaliser).mean(1)
    return score, fitted - began, time.perf_counter() - fitted


def diffusion(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """The product's detector, as ``tsdiff-monitor score`` runs it."""
    return _detector(train, test, seed, "batch")


def diffusion_stream(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """The product's detector as the daemon runs it: each row from the rows before it."""
    return _detector(train, test, seed, "stream")


def _detector(train: np.ndarray, test: np.ndarray, seed: int, mode: Mode) -> tuple[np.ndarray, float, float]:
    began = time.perf_counter()
    detector = DiffusionDetector.fit(_frame(train), DiffusionModelConfig(seed=seed))
    fitted = time.perf_counter()
    score = detector.score(_frame(test), mode=mode).score
    return score, fitted - began, time.perf_counter() - fitted


METHODS: dict[str, Method] = {
    "zscore": zscore,
    "pca": pca,
    "diffusion": diffusion,
    "diffusion_stream": diffusion_stream,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of Parquet files")
    parser.add_argument("--out", type=Path, required=True, help="result file (JSON)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma separated")
    parser.add_argument("--series", default="*", help="glob over file names, without suffix")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0")
    arguments = parser.parse_args()
    records: list[dict[str, Any]] = []
    for path in sorted(arguments.data.glob(f"{arguments.series}.parquet")):
        data = pd.read_parquet(path)
        metrics = data.drop(columns=["t", "split", "label"]).to_numpy(np.float32)
        is_test = data["split"].to_numpy() == 1
        labels = data.loc[is_test, "label"].to_numpy()
        train, test = metrics[~is_test], metrics[is_test]
        window = metric_window(test[:, 0])
        for name in arguments.methods.split(","):
            for seed in range(arguments.seeds if name.startswith("diffusion") else 1):
                score, fit_seconds, score_seconds = METHODS[name](train, test, seed)
                record = {
                    "series": path.stem,
                    "method": name,
                    "seed": seed,
                    "vus_pr": round(vus_pr(labels, score, window), 4),
                    "fit_seconds": round(fit_seconds, 2),
                    "score_seconds": round(score_seconds, 2),
                    "rows": len(test),
                    "metrics": test.shape[1],
                }
                records.append(record)
                print(json.dumps(record), flush=True)
    with atomic_path(arguments.out) as part:
        part.write_text(json.dumps(records, indent=1) + "\n")
    table = pd.DataFrame(records).pivot_table(index="series", columns="method", values="vus_pr")
    table.loc["mean"] = table.mean()
    print(table.round(3).to_string())


def _frame(values: np.ndarray) -> Frame:
    series = tuple(Series(f"m{k}") for k in range(values.shape[1]))
    return Frame(pd.Timestamp(0, tz="UTC"), pd.Timedelta(minutes=1), values, series)


if __name__ == "__main__":
    main()
