"""``tsdiff-monitor fit``: fit and store every model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import (
    Advance,
    Errors,
    collecting,
    count,
    note,
    parse_time,
    progress,
    report_errors,
)
from tsdiff_monitor.cli.options import ConfigFile, Storage

if TYPE_CHECKING:
    import pandas as pd

    from tsdiff_monitor.pipeline.pipeline import Pipeline

__all__ = ["command"]


def command(
    config_file: ConfigFile,
    storage_path: Storage = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Fit as if it were this time.")] = None,
) -> None:
    """Fit the model of every group of every monitor on the latest `fit_window`, and store it.

    A model that was fit on the very same rows is kept: interrupted and started again with the same --now, it does what
    is left to do. A group that cannot be fit keeps its old model; exit code 1 says so.

    Example: tsdiff-monitor fit --config.file monitor.yml
    """
    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.config.loader import load_config

    at = parse_time(now, "--now") or pd.Timestamp.now(tz="UTC")
    errors: Errors = []
    with assemble(load_config(config_file), storage=storage_path) as parts, progress() as advance:
        for name, pipeline in parts.pipelines.items():
            with collecting(errors, f"monitor {name}"):
                errors.extend((f"monitor {name}, {where}", error) for where, error in _fit(pipeline, at, advance))
    report_errors(errors)


def _fit(pipeline: Pipeline, at: pd.Timestamp, advance: Advance) -> Errors:
    from tsdiff_monitor.timeseries.frame import group_name

    name = pipeline.name
    result = pipeline.fit(
        at,
        progress=lambda group, done, total: advance(f"fitting {name} {group_name(group)}", done, total),
    )
    for warning in (*result.warnings, *map(str, result.calendar_errors.values())):
        note(f"warning: monitor {name}: {warning}")
    note(
        f"monitor {name}: {count(len(result.fitted), 'model')} fit, {len(result.current)} current already, "
        f"{len(result.errors)} failed, in {result.seconds:.0f} s"
    )
    if not (result.fitted or result.current or result.errors):
        note(f"monitor {name}: the source has no data for its queries in the fit window")
    return result.errors
