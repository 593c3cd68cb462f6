"""``tsdiff-monitor check sources``: runs every query, and prints what to fix."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tsdiff_monitor.cli.common import count, emit, note, parse_time
from tsdiff_monitor.settings.durations import format_duration

if TYPE_CHECKING:
    import pandas as pd

    from tsdiff_monitor.checks.examine import Examined
    from tsdiff_monitor.checks.measures import Measures
    from tsdiff_monitor.pipeline.pipeline import Pipeline

__all__ = ["check_sources"]

EXIT_OK, EXIT_FAILED, EXIT_FINDINGS = 0, 1, 3


def check_sources(file: Path, monitor: str | None, now: str | None) -> int:
    """Examine every query of every monitor, or of one; returns the exit code. Raises ``ConfigError``."""
    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.checks.examine import examine
    from tsdiff_monitor.config.dry_run import dry_run
    from tsdiff_monitor.config.loader import load_config

    at = parse_time(now, "--now")
    config = dry_run(load_config(file), only=monitor)
    failed = findings = 0
    # A daemon may be at work on the configured storage: nothing of it is needed here.
    with tempfile.TemporaryDirectory() as storage, assemble(config, storage=Path(storage)) as parts:
        for name, pipeline in parts.pipelines.items():
            reader = config.readers[pipeline.monitor.reader]
            emit(f"monitor {name}: reader {pipeline.monitor.reader} ({reader.type})")
            for one in examine(pipeline, at or _last_time(pipeline) or pd.Timestamp.now(tz="UTC")):
                for line in _lines(one):
                    emit(f"  {line}")
                failed += one.error is not None
                findings += len(one.findings)
    if failed:
        note(f"{file}: {'a query' if failed == 1 else f'{failed} queries'} failed")
        return EXIT_FAILED
    if findings:
        note(f"{file}: {count(findings, 'finding')}")
        return EXIT_FINDINGS
    return EXIT_OK


def _last_time(pipeline: Pipeline) -> pd.Timestamp | None:
    """The end of the data, of a source that knows it (files, the simulator)."""
    from tsdiff_monitor.plugins import History

    if not isinstance(pipeline.reader, History):
        return None
    extents = pipeline.reader.extents(tuple(pipeline.monitor.groupby))
    return max((extent.end for extent in extents.values()), default=None)


def _lines(one: Examined) -> Iterator[str]:
    said = "failed" if one.measures is None else _summary(one.measures)
    yield f"{one.query}: {said}, after {one.seconds:.1f} s"
    if one.error is not None:
        yield f"  error: {one.error}"
    for warning in one.warnings:
        yield f"  the source warns: {warning}"
    for finding in one.findings:
        yield f"  - {finding.problem}"
        yield f"    {finding.fix}"


def _summary(found: Measures) -> str:
    if not found.series:
        return "no data"
    least, median, most = found.per_group
    each = f"{most}" if least == most else f"{least} to {most}, median {median}"
    parts = [
        f"{count(found.groups, 'group')} of {each} series",
        f"{found.series:,} series in all",
        count(found.rows, "row"),
        f"{found.missing:.1%} missing",
    ]
    if found.longest_gap.total_seconds() > 0:
        parts.append(f"longest gap {format_duration(found.longest_gap.to_pytimedelta())}")
    if found.period is not None:
        parts.append(f"repeats every {format_duration(found.period.to_pytimedelta())}")
    return ", ".join(parts)
