"""Features of payments from a real database: ``python -m benchmarks.sql --data DIR --out FILE.json``.

Loads the payments of ``DIR`` (``benchmarks.fraud_data``) into each ``--database``, by default an SQLite file of its
own, and reads nine features per terminal (or ``--group customer``) over all their time with the SQL reader, then a
tick. Counts must add up to the payments loaded. A database that is named loses its table ``transactions``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
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

from benchmarks.figures import machine
from benchmarks.fraud_data import load, payments
from tsdiff_connectors.sql import SqlReader
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.plugins import Context, Query, Reading, ReadRequest
from tsdiff_monitor.settings.durations import parse_duration
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable

__all__ = ["main", "measure"]

FEATURES = {
    "payments": "count",
    "spent": "sum(amount)",
    "mean": "mean(amount)",
    "largest": "max(amount)",
    "p95": "p95(amount)",
    "cards": "distinct(customer)",
    "large": "share(amount > 220)",
    "quiet": "seconds_since_last",
    "reports": "count by arrival",
}
_WEEK = 7 * 86_400
_LIMIT_SECONDS = 60
_WINDOW = 64
"""Rows of a monitor's window: what a tick needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sql", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the payments in Parquet")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument("--database", action="append", metavar="URL", help="SQLAlchemy address; may be given again")
    parser.add_argument("--group", choices=["terminal", "customer"], default="terminal", help="what to group by")
    parser.add_argument("--step", type=parse_duration, default="1d", metavar="D", help="length of an interval")
    given = parser.parse_args(arguments)
    try:
        check_writable(given.out)
        table = payments(given.data, _WEEK)
        with tempfile.TemporaryDirectory() as folder:
            urls = given.database or [f"sqlite:///{folder}/payments.sqlite"]
            found = [measure(table, url, given.group, pd.Timedelta(given.step)) for url in urls]
        with atomic_path(given.out) as part:
            part.write_text(
                json.dumps({"machine": {**machine(), "sqlalchemy": sa.__version__}, "figures": found}, indent=1) + "\n"
            )
    except (TsdiffError, SQLAlchemyError) as error:
        print(f"benchmarks.sql: {error}", file=sys.stderr)
        return 2
    print(_table(found))
    return 0


def measure(
    table: pd.DataFrame, url: str, group: str, step: pd.Timedelta, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """Figures of one database. Raises :class:`DataError` where a payment is lost or counted twice."""
    address = sa.make_url(url)
    began = clock()
    load(table, address)
    loaded = clock()
    source = {"url": url, "table": "transactions", "time": "t", "arrival": "reported", "timeout": "10m"}
    reader = SqlReader(SqlReader.Config(**source, statement_timeout="10m"), Context())  # type: ignore[arg-type]
    queries = tuple(Query(name, expr) for name, expr in FEATURES.items())
    start = pd.Timestamp(int(table["t"].min()), unit="s", tz="UTC").floor("D")
    end = pd.Timestamp(int(table["t"].max()), unit="s", tz="UTC").ceil("D")
    request = ReadRequest(queries, start, end, step, (group,))
    window = dataclasses.replace(request, start=max(start, end - step * _WINDOW))
    later = dataclasses.replace(window, start=window.start + step, end=window.end + step)
    try:
        cpu, before = time.process_time(), clock()
        reading = reader.read(request)
        seconds, cpu_seconds = clock() - before, time.process_time() - cpu
        _check(reading, table)
        groups = len(reading.frames)
        del reading
        reader.read(window)
        before = clock()
        reader.read(later)
        tick_seconds = clock() - before
    finally:
        reader.close()
    return {
        "database": address.get_backend_name(),
        "group": group,
        "step_seconds": step.total_seconds(),
        "payments": len(table),
        "groups": groups,
        "rows": int((end - start) / step),
        "features": len(FEATURES),
        "load_seconds": round(loaded - began, 2),
        "read_seconds": round(seconds, 2),
        "reader_cpu_seconds": round(cpu_seconds, 2),
        "tick_seconds": round(tick_seconds, 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _check(reading: Reading, table: pd.DataFrame) -> None:
    counted = sum(float(np.nansum(frame.select(["payments"]).values)) for frame in reading.frames.values())
    if counted != len(table):
        raise DataError(f"{counted:,.0f} payments were counted, but {len(table):,} were loaded")


def _table(found: list[dict[str, Any]]) -> str:
    lines = [
        f"{'database':<12}{'payments':>10}{'groups':>8}{'rows':>6}{'read (s)':>10}{'limit':>7}  met  {'tick (s)':>8}"
    ]
    for one in found:
        met = "yes" if one["read_seconds"] <= _LIMIT_SECONDS else "NO"
        lines.append(
            f"{one['database']:<12}{one['payments']:>10,}{one['groups']:>8,}{one['rows']:>6,}"
            f"{one['read_seconds']:>10.2f}{_LIMIT_SECONDS:>7}  {met:<3}  {one['tick_seconds']:>8.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
