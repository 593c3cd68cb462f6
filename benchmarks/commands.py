"""The common part of the commands that score series: their first options, and a result file written as it grows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tsdiff_monitor.system.atomic_files import atomic_path

__all__ = ["Record", "kept", "positive", "series_parser"]

Record = dict[str, Any]


def series_parser(program: str, about: str | None) -> argparse.ArgumentParser:
    """Of ``python -m benchmarks.PROGRAM``, with the series to score and the file for the results."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=about)
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of Parquet files")
    made.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    made.add_argument("--series", default="*", metavar="GLOB", help="only series whose name matches")
    return made


def positive(text: str) -> int:
    """An option's number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def kept(records: Iterable[Record], out: Path) -> list[Record]:
    """All records; each is printed, and in the file ``out`` with those before it, as soon as it is known."""
    known: list[Record] = []
    for record in records:
        known.append(record)
        print(json.dumps(record), flush=True)
        with atomic_path(out) as part:
            part.write_text(json.dumps(known, indent=1) + "\n")
    return known
