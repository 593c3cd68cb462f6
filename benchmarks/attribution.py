"""Attribution against known culprits: ``python -m benchmarks.attribution --data DIR --out FILE.json``.

For every incident of four labelled collections the metrics are ranked by their share of its evidence, and the ranking
is held against what was truly at fault. Where an incident lies is given; *detecting* it is the accuracy benchmark's
business. All incidents count, detected or not. One configuration for all; truths are read for the measures alone.

- **smd**: HitRate@P% = share of the truly anomalous metrics GT among the first floor(P% |GT|) of the ranking
  (OmniAnomaly, Su et al., KDD 2019). As that paper defines it, per *observation*: the row's own ranking (``row@``). As
  later work does, InterFusion (KDD 2021) among it, per *segment*: one ranking of all its rows.
- **nezha**, **petshop**, **sockshop**: is the faulty pod, node or service among the first k? Shares of metrics add up.

Methods: the detector in both modes with evidence score^2 x attribution, beside |z| and the residual of PCA. ``event``
adds up squared evidence over the rows of an incident; ``mean`` adds up its unsquared counterpart (for the detector
score x attribution, for the others the evidence itself).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.attribution_cases import SETS, Case, Incident
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.scoring.attribution import attribute_event
from tsdiff_monitor.system.atomic_files import atomic_path
from tsdiff_monitor.timeseries.frame import Frame, Series

__all__ = ["hit_rate", "main", "measure", "rank"]

Evidence = tuple[np.ndarray, np.ndarray]
"""Of the rows of an incident, ``[T, K]`` each: what ``event`` squares and adds up, and what ``mean`` adds up."""
Method = Callable[[Incident], Evidence]

_PERCENT = (100, 150)
_TOP = (1, 3, 5)


def rank(weights: np.ndarray) -> list[int]:
    """Indices from the largest weight to the smallest, ties in order."""
    return [int(k) for k in np.argsort(-np.nan_to_num(weights), kind="stable")]


def hit_rate(ranking: Sequence[int], truth: Sequence[int], percent: int) -> float:
    """HitRate@``percent``%: the share of ``truth`` among the first floor(percent% x \\|truth\\|) of the ranking."""
    return len(set(ranking[: percent * len(truth) // 100]) & set(truth)) / len(truth)


def zscore(case: Case) -> Method:
    """Deviation from the mean of the history, in its standard deviations (at least 0.01)."""
    mean, deviation = np.nanmean(case.train, 0), np.maximum(np.nanstd(case.train, 0), 0.01)

    def evidence(incident: Incident) -> Evidence:
        size = np.abs(np.nan_to_num((incident.inside - mean) / deviation))
        return size, size

    return evidence


def pca(case: Case) -> Method:
    """The residual of components that explain 90 % of the variance, over its root mean square in the history."""
    mean, deviation = np.nanmean(case.train, 0), np.maximum(np.nanstd(case.train, 0), 0.01)
    z = np.nan_to_num((case.train - mean) / deviation)
    variance, vectors = np.linalg.eigh(np.cov(z, rowvar=False))
    kept = int(np.searchsorted(np.cumsum(variance[::-1]) / max(variance.sum(), 1e-9), 0.9)) + 1
    basis = vectors[:, ::-1][:, :kept]
    normal = np.sqrt(((z - z @ basis @ basis.T) ** 2).mean(0) + 1e-4)

    def evidence(incident: Incident) -> Evidence:
        x = np.nan_to_num((incident.inside - mean) / deviation)
        size = np.abs(x - x @ basis @ basis.T) / normal
        return size, size

    return evidence


def detector(fitted: DiffusionDetector, step: pd.Timedelta, mode: Mode) -> Method:
    """The product's scores and attributions."""

    def evidence(incident: Incident) -> Evidence:
        scores = fitted.score(_frame(incident.values, step), first=incident.first, mode=mode)
        inside = slice(0, incident.last - incident.first)
        score, share = np.nan_to_num(scores.score[inside])[:, None], scores.attribution[inside]
        return score * np.sqrt(share), score * share

    return evidence


def measure(case: Case, method: Method) -> list[dict[str, Any]]:
    """One record per incident: hits of the ``event`` and the ``mean`` ranking, on SMD also of each row's own."""
    records = []
    for incident in case.incidents:
        squared, plain = method(incident)
        record: dict[str, Any] = {"series": case.name, "rows": len(squared)}
        for how, weights in (("event", attribute_event(squared)), ("mean", plain.sum(0))):
            if case.owners is None:
                truth = [case.names.index(name) for name in incident.truth]
                record |= {f"{how}@{p}": hit_rate(rank(weights), truth, p) for p in _PERCENT}
            else:
                owners = sorted({owner for owner in case.owners if owner})
                total = np.array([weights[[o == owner for o in case.owners]].sum() for owner in owners])
                ranked = [owners[k] for k in rank(total)]
                record |= {f"{how}_top{k}": float(incident.truth[0] in ranked[:k]) for k in _TOP}
        if case.owners is None:
            for p in _PERCENT:
                record[f"row@{p}"] = float(np.mean([hit_rate(rank(row), truth, p) for row in squared]))
        records.append(record)
    return records


def summary(records: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the incidents; ``row@`` over all their rows."""
    table = pd.DataFrame(records).drop(columns=["set", "method", "series"], errors="ignore")
    rows = table.pop("rows").to_numpy(float)
    mean = table.mean()
    for name in table.columns:
        if str(name).startswith("row@"):
            mean[name] = float(np.average(table[name], weights=rows))
    return {"incidents": float(len(table)), **{str(name): round(float(x), 4) for name, x in mean.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 2 when the data or the place of the result cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds smd/, nezha/, petshop/, ...")
    parser.add_argument("--out", type=Path, required=True, help="result file (JSON)")
    parser.add_argument("--sets", default=",".join(SETS), help="comma separated")
    parser.add_argument("--series", default="*", help="glob over series, such as machine-1-*")
    parser.add_argument("--models", type=Path, help="folder of models: those there are loaded, others fit and kept")
    parser.add_argument("--fit-steps", type=int, help="optimisation steps of a fit, for a quick look")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments)
    except (TsdiffError, ValueError) as error:  # ValueError: a configuration out of its bounds
        print(f"benchmarks.attribution: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    wanted = arguments.sets.split(",")
    unknown = sorted(set(wanted) - set(SETS))
    if unknown:
        raise DataError(f"--sets: there is no set named {', '.join(unknown)}; known are {', '.join(SETS)}")
    options = {} if arguments.fit_steps is None else {"fit_steps": arguments.fit_steps}
    config = DiffusionModelConfig(seed=arguments.seed, **options)
    records: list[dict[str, Any]] = []
    for name in wanted:
        for case in SETS[name](arguments.data, arguments.series, config.window):
            fitted = _detector(case, f"{name}:{case.name}.{arguments.seed}", arguments.models, config)
            methods = {
                "zscore": zscore(case),
                "pca": pca(case),
                "stream": detector(fitted, case.step, "stream"),
                "batch": detector(fitted, case.step, "batch"),
            }
            for method, evidence in methods.items():
                records += [{"set": name, "method": method} | record for record in measure(case, evidence)]
            print(f"{name} {case.name}: {len(case.incidents)} incidents", flush=True)
    if not records:
        raise DataError(f"--series {arguments.series}: no series of {', '.join(wanted)} has that name")
    table = []
    for name in wanted:
        for method in ("zscore", "pca", "stream", "batch"):
            chosen = [record for record in records if record["set"] == name and record["method"] == method]
            if chosen:
                table.append({"set": name, "method": method, **summary(chosen)})
    with atomic_path(arguments.out) as part:
        part.write_text(json.dumps({"table": table, "incidents": records}, indent=1) + "\n", encoding="utf-8")
    for name in wanted:
        shown = pd.DataFrame([row for row in table if row["set"] == name])
        if len(shown):
            print(shown.set_index(["set", "method"]).round(3).to_string())
    return 0


def _detector(case: Case, folder: str, models: Path | None, config: DiffusionModelConfig) -> DiffusionDetector:
    """The stored model of the case, or one fit now (and stored, where a folder is given)."""
    if models is not None and (models / folder).exists():
        return DiffusionDetector.load(models / folder)
    fitted = DiffusionDetector.fit(_frame(case.train, case.step), config)
    if models is not None:
        fitted.save(models / folder)
    return fitted


def _frame(values: np.ndarray, step: pd.Timedelta) -> Frame:
    series = tuple(Series(f"m{k}") for k in range(values.shape[1]))
    return Frame(pd.Timestamp(0, tz="UTC"), step, values, series)


if __name__ == "__main__":
    sys.exit(main())
