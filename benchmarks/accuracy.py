"""Accuracy on labelled series: ``python -m benchmarks.accuracy --data DIR --out FILE.json``.

Every series of a folder of Parquet files is fit and scored by every method in the same run, with one configuration for
all series. One record per series, method and seed is written as soon as it is known; tables with the means are printed
at the end. Labels are read for the measures alone. What is compared, and how: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import tables
from benchmarks.commands import positive
from benchmarks.data import PROTOCOLS, load_tasks
from benchmarks.evaluation import Record, Results, run
from benchmarks.methods import DEFAULT, METHODS, chosen
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 0, 1 if a method failed on a series, 2 for input that is wrong."""
    given = _parser().parse_args(arguments)
    try:
        methods = chosen(given.methods)
        for path in filter(None, (given.out, given.plot)):
            check_writable(path)
        results = Results.open(given.out, given.protocol, resume=given.resume)
        tasks = load_tasks(given.data, given.protocol, series=given.series, prefix_lengths=given.prefix_lengths)
        run(tasks, results, methods, seeds=given.seeds, jobs=given.jobs, report=_print_record)
        records = [record for record in results.records if record["method"] in methods]
        _report(records, given.plot, f"{given.data.name}, {given.protocol} protocol")
    except TsdiffError as error:
        print(f"benchmarks.accuracy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; go on with --resume ({given.out} has what was measured)", file=sys.stderr)
        return 130
    return int(any("error" in record for record in records))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        epilog="methods: " + "; ".join(f"{name}: {method.summary}" for name, method in METHODS.items()),
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Parquet files")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="official", help="what is fit on what (%(default)s)")
    parser.add_argument("--prefix-lengths", type=Path, metavar="CSV", help="columns machine, train_rows (prefix)")
    parser.add_argument("--methods", default=",".join(DEFAULT), help="comma separated; 'baselines': all of those")
    parser.add_argument("--series", default="*", metavar="GLOB", help="only series whose name matches")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="seeds 0 to N-1 (%(default)s)")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes (%(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="picture of the means")
    parser.add_argument("--resume", action="store_true", help="keep what --out holds, measure only what is missing")
    return parser


def _print_record(record: Record) -> None:
    shown = {key: value for key, value in record.items() if key not in {"published", "protocol"}}
    print(json.dumps(shown), flush=True)


def _report(records: list[Record], picture: Path | None, title: str) -> None:
    for record in records:
        if "error" in record:
            print(f"failed: {record['series']}, {record['method']}: {record['error']}", file=sys.stderr)
    if not any(record["vus_pr"] is not None for record in records):
        print("no series with labelled anomalies was scored: there is nothing to compare")
        return
    print(f"\nVUS-PR, {title}\n\n{tables.per_series(records)}\n\n{tables.per_method(records)}")
    if note := tables.published_note(records):
        print(f"\n{note}")
    if picture:
        with atomic_path(picture) as part:
            tables.plot(records, part, title)


if __name__ == "__main__":
    sys.exit(main())
