"""``tsdiff-monitor backtest``: what would have happened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tsdiff_monitor.cli.common import ConfigFile, count, note, parse_time, progress, report_errors

__all__ = ["command"]


def command(
    config_file: ConfigFile,
    report: Annotated[Path, typer.Option("--report", metavar="DIR", help="Folder for the report.")],
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First time to score; fit on before.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Time to stop at.")] = None,
    monitor: Annotated[str | None, typer.Option(metavar="NAME", help="Only this monitor.")] = None,
) -> None:
    """Send history through the production path and report the events that would have been.

    Writes report.html, events.jsonl, scores.parquet and summary.json; with several monitors, into a folder each.
    Without --start, the source says what to fit on and what to score. Nobody is notified and nothing is written back.
    Interrupted and started again, it keeps the models fit so far and gives the same result.

    Example: tsdiff-monitor backtest --config.file configs/backtest-smd.yaml --report out
    """
    import pandas as pd

    from tsdiff_monitor.assembly import assemble
    from tsdiff_monitor.backtest import Spans, exclusive, replay
    from tsdiff_monitor.cli.summary_text import print_summary
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.config.silent import silenced
    from tsdiff_monitor.errors import TsdiffError
    from tsdiff_monitor.report.write import write_report

    first, last = parse_time(start, "--start"), parse_time(end, "--end")
    config = silenced(load_config(config_file), only=monitor)
    errors: list[tuple[str, Exception]] = []
    for name in config.monitors:
        folder = report if len(config.monitors) == 1 else report / name
        try:
            with (
                exclusive(folder) as work,
                assemble(config, storage=work, models=config.settings.storage_path / "models-backtest") as parts,
            ):
                pipeline = parts.pipelines[name]
                with progress() as advance:
                    found, failed = replay(
                        pipeline,
                        Spans.of(pipeline, first, last),
                        title=f"Backtest of {name}",
                        chunk=max(pd.Timedelta(days=1), pipeline.step),
                        progress=advance,
                        clock=time.monotonic,
                    )
                errors.extend((f"monitor {name}, {where}", error) for where, error in failed)
                if not found.groups:
                    raise TsdiffError("nothing could be scored: see the errors above, or mend the queries or the span")
                print_summary(write_report(found, folder))
                typer.echo(folder / "report.html")
        except TsdiffError as error:
            report_errors(errors)
            errors = [(f"monitor {name}", error)]
    report_errors(errors)
    if errors:
        note(f"{count(len(errors), 'error')}; what could be scored is in the report")
        raise typer.Exit(1)
