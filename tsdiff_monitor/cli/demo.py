"""``tsdiff-monitor demo``: the whole way on simulated services, from metrics to explained events and a report."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from tsdiff_monitor.cli.common import emit, note, progress, report_errors

__all__ = ["command"]

_NOTE = "The services are simulated (docs/simulator.md); the labels are the simulator's ground truth."


def command(
    report: Annotated[Path, typer.Option("--report", metavar="DIR", help="Folder for it.")] = Path("demo-report"),
    seed: Annotated[int, typer.Option(min=0, help="Another fleet, other noise, other incidents' sizes.")] = 0,
) -> None:
    """Simulate four services for 14 days, fit a model each, then replay a day with incidents of six kinds.

    Events are printed as they fire. The report shows what was found, what was missed, and why. Nothing is contacted.

    Example: tsdiff-monitor demo --report demo-report
    """
    from importlib.resources import as_file, files

    import pandas as pd

    from tsdiff_monitor.assembly import assemble
    from tsdiff_monitor.backtest import Spans, replay
    from tsdiff_monitor.cli.summary_text import print_summary
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.exclusive import exclusive
    from tsdiff_monitor.report.write import write_report

    with as_file(files("tsdiff_monitor") / "data" / "demo.yaml") as path:
        config = load_config(path)
        text = path.read_text(encoding="utf-8")
    fleet = config.readers["fleet"]
    seeded = dataclasses.replace(fleet, config=fleet.config.model_copy(update={"seed": seed}))
    config = dataclasses.replace(config, readers={"fleet": seeded})
    note("Simulating four services: 14 days of history, then a day with incidents of six kinds.")
    with exclusive(report) as work, assemble(config, storage=work) as parts:
        pipeline = parts.pipelines["services"]
        with progress() as advance:
            found, errors = replay(
                pipeline,
                Spans.of(pipeline, None, None),
                title="Demo: four simulated services",
                chunk=pd.Timedelta(hours=1),
                progress=advance,
                after_tick=parts.dispatcher.run_due,
                clock=time.monotonic,
                notes=(_NOTE,),
            )
        summary = write_report(dataclasses.replace(found, config_text=text), report)
    print_summary(summary)
    emit(f"Report: {report / 'report.html'}")
    report_errors(errors)
