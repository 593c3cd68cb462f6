"""Fraud in a real database, through the production path: ``python -m benchmarks.fraud --data DIR --out FILE.json``.

Loads the payments of ``DIR`` (``benchmarks.fraud_data``) into ``--database``, by default an SQLite file of its own, and
sends them through ``configs/fraud-cards.yaml`` and ``configs/fraud-terminals.yaml`` as a backtest does: fit on the
first eight weeks, watch the rest. Labels are read for the measures alone, from Parquet. A database that is named loses
its table ``transactions``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.fraud_baselines import Alarm, baseline
from benchmarks.fraud_data import load, payments
from benchmarks.fraud_measures import CASES, Case, judge
from tsdiff_monitor.backtest.replay import Spans, replay
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable

__all__ = ["main"]

_CONFIGS = Path(__file__).parents[1] / "configs"
_FIT = pd.Timedelta(days=56)
_REPORT_DELAY = 7 * 86_400

Record = dict[str, Any]


def main(arguments: Sequence[str] | None = None, clock: Callable[[], float] = time.monotonic) -> int:
    """Run the benchmark; returns the exit status: 0, or 2 for input that is wrong."""
    given = _parser().parse_args(arguments)
    try:
        check_writable(given.out)
        labels = _labels(given.data)
        records: list[Record] = []
        with tempfile.TemporaryDirectory() as scratch:
            url = given.database or f"sqlite:///{scratch}/payments.sqlite"
            table = payments(given.data, _REPORT_DELAY)
            began = clock()
            load(table[table[CASES[given.only].label] % given.every == 0] if given.only else table, sa.make_url(url))
            print(f"loaded in {clock() - began:.0f} s", flush=True)
            for name in [given.only] if given.only else CASES:
                own = labels[labels[CASES[name].key] % given.every == 0]
                records.append(_run(CASES[name], own, url, Path(scratch), given, clock))
                with atomic_path(given.out) as part:
                    part.write_text(json.dumps(_result(records), indent=1) + "\n")
    except (TsdiffError, SQLAlchemyError) as error:
        print(f"benchmarks.fraud: {error}", file=sys.stderr)
        return 2
    print(f"\n{_table(records)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fraud", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the payments in Parquet")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--database", metavar="URL", help="SQLAlchemy address; its table is replaced")
    parser.add_argument("--only", choices=list(CASES), help="one of the two configurations")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="with --only, every Nth group alone, and 1/N of the allowance"
    )
    parser.add_argument(
        "--also", type=float, nargs="*", default=[], metavar="X", help="other values of alarms_per_week, same models"
    )
    return parser


def _labels(folder: Path) -> pd.DataFrame:
    """The payments with their scenario; times in seconds."""
    columns = ["t", "customer_id", "terminal_id", "fraud", "scenario"]
    try:
        return pd.concat([pd.read_parquet(file, columns=columns) for file in sorted(folder.glob("*.parquet"))])
    except (ValueError, OSError, KeyError) as error:
        raise DataError(f"{folder}: no table of labelled payments ({error})") from None


def _run(
    case: Case,
    labels: pd.DataFrame,
    url: str,
    scratch: Path,
    given: argparse.Namespace,
    clock: Callable[[], float],
) -> Record:
    """One configuration: the product's figures and the baseline's."""
    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.config.dry_run import dry_run
    from tsdiff_monitor.config.loader import load_config

    config = dry_run(load_config(_CONFIGS / f"fraud-{case.name}.yaml", environ={"FRAUD_DATABASE_URL": url}))
    monitor = config.monitors[case.name]
    first = pd.Timestamp(int(labels["t"].min()), unit="s", tz="UTC").floor("D")
    end = pd.Timestamp(int(labels["t"].max()), unit="s", tz="UTC").ceil("D")
    spans = Spans(first, first + _FIT, first + _FIT, end)
    models = scratch / case.name / "models"
    record: Record = {"configuration": f"configs/fraud-{case.name}.yaml", "step": str(pd.Timedelta(monitor.step))}
    with assemble(config, storage=scratch / case.name / "fit", models=models) as parts:
        began, busy = clock(), time.process_time()
        pipeline = parts.pipelines[case.name]
        fitted = pipeline.fit(spans.fit_end + pipeline.offset, start=first)
        record |= {
            "groups": len(fitted.fitted),
            "not_fit": len(fitted.errors),
            "fit_seconds": round(clock() - began, 1),
            "fit_cpu_seconds": round(time.process_time() - busy, 1),
            "models_mib": round(_size(models) / 2**20, 1),
            "results": [],
        }
        print(f"{case.name}: {record['groups']} groups fit in {record['fit_seconds']:.0f} s", flush=True)
        frames = parts.pipelines[case.name].read(parts.pipelines[case.name].request(first, end)).frames
    for allowed in (monitor.alarms_per_week, *given.also):
        own = monitor.model_copy(update={"alarms_per_week": allowed / given.every})
        changed = dataclasses.replace(config, monitors={case.name: own})
        simple = baseline(case.baseline, frames, spans.fit_end, own)
        record["results"].append(
            {"method": f"baseline: {case.baseline}", "alarms_per_week": own.alarms_per_week}
            | judge(case, labels, simple, pd.Timedelta(own.step), (spans.start, end))
        )
        with assemble(changed, storage=scratch / case.name / f"watch-{allowed}", models=models) as parts:
            began, busy = clock(), time.process_time()
            found, _ = replay(
                parts.pipelines[case.name], spans, title=case.name, chunk=spans.end - spans.start, clock=clock
            )
        alarms = [
            Alarm(dict(group.group)[case.label], event.start, event.confirmed, event.end or event.last)
            for group in found.groups
            for event in group.events
        ]
        record["results"].append(
            {"method": "product", "alarms_per_week": own.alarms_per_week}
            | judge(case, labels, alarms, pd.Timedelta(own.step), (spans.start, end))
            | {
                "watch_seconds": round(clock() - began, 1),
                "watch_cpu_seconds": round(time.process_time() - busy, 1),
                "rows_scored": sum(int(np.isfinite(group.scores.score).sum()) for group in found.groups),
            }
        )
    record["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(record), flush=True)
    return record


def _size(folder: Path) -> int:
    """Bytes on disk: a file with several names counts once."""
    stats = {path.stat().st_ino: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return int(np.sum(list(stats.values())))


def _result(records: list[Record]) -> Record:
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
    return {"machine": machine, "results": records}


def _table(records: list[Record]) -> str:
    lines = [
        "| configuration | method | allowed a week | found in 3 days | false events a week | events a week "
        "| median hours to find |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        lines.extend(
            f"| {record['configuration']} | {one['method']} | {one['alarms_per_week']:g} | {one['found']} of "
            f"{one['incidents']} ({one['recall']:.0%}) | {one['false_per_week']:.1f} "
            f"| {one['events_per_week']:.1f} | {one['median_hours']:.0f} |"
            for one in record["results"]
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
