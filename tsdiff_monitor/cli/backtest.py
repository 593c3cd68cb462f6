"""``tsdiff-monitor backtest``: the events that history would have opened."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import (
    Errors,
    collecting,
    count,
    emit,
    note,
    parse_time,
    progress,
    report_errors,
)
from tsdiff_monitor.cli.options import ConfigFile, Monitor

if TYPE_CHECKING:
    import pandas as pd

    from tsdiff_monitor.config.loader import Config

__all__ = ["command"]


def command(
    config_file: ConfigFile,
    report: Annotated[Path, typer.Option("--report", metavar="DIR", help="Folder for the report.")],
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First time to score; fit on before.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Time to stop at.")] = None,
    monitor: Monitor = None,
) -> None:
    """Send history through the production path and report the events that would have been.

    Writes report.html, events.jsonl, scores.parquet and summary.json; with several monitors, into a folder each.
    Without --start, the source says what to fit on and what to score. No one is notified and nothing is written back.
    Interrupted and started again, it keeps the models fit so far and gives the same result. Exit code 1 when a group or
    a monitor failed; the others are reported all the same.

    Example: tsdiff-monitor backtest --config.file configs/backtest-smd.yaml --report out
    """
    from tsdiff_monitor.config.dry_run import dry_run
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.models.repository import folder_name

    first, last = parse_time(start, "--start"), parse_time(end, "--end")
    config = dry_run(load_config(config_file), only=monitor)
    # The file as it was written: references to secrets, never their values; left out where it holds one in clear.
    text = None if config.inline_secrets else config_file.read_text(encoding="utf-8")
    errors: Errors = []
    for name in config.monitors:
        folder = report if len(config.monitors) == 1 else report / folder_name(name)
        with collecting(errors, f"monitor {name}"):
            _backtest(config, text, name, folder, (first, last), errors)
    report_errors(errors)


def _backtest(
    config: Config,
    text: str | None,
    name: str,
    folder: Path,
    span: tuple[pd.Timestamp | None, pd.Timestamp | None],
    errors: Errors,
) -> None:
    """One monitor; adds what failed to ``errors``, and raises when there is nothing to report.

    ``text`` is the configuration as the report shows it.
    """
    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.backtest.replay import Spans, replay
    from tsdiff_monitor.backtest.report.write import write_report
    from tsdiff_monitor.cli.summary_text import print_summary
    from tsdiff_monitor.errors import DataError
    from tsdiff_monitor.system.file_lock import exclusive

    began = time.monotonic()
    with (
        exclusive(folder) as work,
        assemble(config, storage=work, models=config.settings.storage_path / "models-backtest") as parts,
    ):
        pipeline = parts.pipelines[name]
        with progress() as advance:
            found, failed = replay(
                pipeline,
                Spans.of(pipeline, *span),
                title=f"Backtest of {name}",
                chunk=max(pd.Timedelta(days=1), 96 * pipeline.step),
                progress=advance,
                clock=time.monotonic,
            )
        errors.extend((f"monitor {name}, {where}", error) for where, error in failed)
        if not found.groups:
            why = "see the errors above" if failed else "the source has no data in the span"
            raise DataError(f"nothing could be scored: {why}; fix the queries, or choose another --start and --end")
        summary = write_report(dataclasses.replace(found, config_text=text), folder)
    if len(config.monitors) > 1:
        emit(f"Monitor {name}")
    print_summary(summary)
    emit(str(folder / "report.html"))
    left_out = f"; {count(len(failed), 'error')}, see below" if failed else ""
    note(f"monitor {name}: done in {time.monotonic() - began:.0f} s{left_out}")
