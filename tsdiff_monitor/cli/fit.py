"""``tsdiff-monitor fit``: fit and store every model."""

from __future__ import annotations

from typing import Annotated

import typer

from tsdiff_monitor.cli.common import ConfigFile, Storage, count, note, parse_time, progress, report_errors

__all__ = ["command"]


def command(
    config_file: ConfigFile,
    storage_path: Storage = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Fit as if it were this time.")] = None,
) -> None:
    """Fit the model of every group of every monitor on the latest `fit_window`, and store it.

    Interrupted and started again, it does what is left to do. A group that cannot be fit keeps its old model.

    Example: tsdiff-monitor fit --config.file monitor.yml
    """
    import pandas as pd

    from tsdiff_monitor.assembly import assemble
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.errors import TsdiffError
    from tsdiff_monitor.frame import group_name

    at = parse_time(now, "--now") or pd.Timestamp.now(tz="UTC")
    errors: list[tuple[str, Exception]] = []
    with assemble(load_config(config_file), storage=storage_path) as parts, progress() as advance:
        for name, pipeline in parts.pipelines.items():
            try:
                result = pipeline.fit(
                    at - pd.Timedelta(pipeline.scheduler.offset),
                    progress=lambda group, done, total, name=name: advance(  # type: ignore[misc]
                        f"fitting {name} {group_name(group)}", done, total
                    ),
                )
            except TsdiffError as error:
                errors.append((f"monitor {name}", error))
                continue
            errors.extend((f"monitor {name}, group {where}", error) for where, error in result.errors)
            note(
                f"monitor {name}: {count(len(result.fitted), 'model')} fit, {len(result.current)} current already, "
                f"{len(result.errors)} failed, in {result.seconds:.0f} s"
            )
            if not (result.fitted or result.current or result.errors):
                note(f"monitor {name}: the source has no data for its queries in the fit window")
    report_errors(errors)
    if errors:
        raise typer.Exit(1)
