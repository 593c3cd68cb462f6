"""``tsdiff-monitor demo``: the whole way on simulated services, from metrics to explained events and a report."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import count, emit, note, progress, report_errors

if TYPE_CHECKING:
    from tsdiff_monitor.demo.slack_server import Post

__all__ = ["command"]

_NOTE = "The services are simulated (docs/simulator.md); the labels are the simulator's ground truth."
_WIDTH = 100


def command(
    report: Annotated[Path, typer.Option("--report", metavar="DIR", help="Folder for it.")] = Path("demo-report"),
    seed: Annotated[int, typer.Option(min=0, help="Another fleet, other noise, other incidents' sizes.")] = 0,
) -> None:
    """Simulate four services for 14 days, fit a model each, then replay a day with incidents of six kinds.

    Events are printed as they fire and posted to a stand-in for Slack on this machine; the first one's message is shown
    at the end. The report shows what was found, what was missed, and why. Nothing beyond this machine is contacted.

    Example: tsdiff-monitor demo --report demo-report
    """
    from importlib.resources import as_file, files

    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.backtest.replay import Spans, replay
    from tsdiff_monitor.backtest.report.write import write_report
    from tsdiff_monitor.cli.summary_text import print_summary
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.demo.slack_server import DemoSlack
    from tsdiff_monitor.system.file_lock import exclusive

    with DemoSlack() as slack:
        with as_file(files("tsdiff_monitor") / "demo" / "demo.yaml") as path:
            slack_is = {"DEMO_SLACK_URL": slack.url, "DEMO_SLACK_TOKEN": "xoxb-demo"}
            config = load_config(path, environ={**os.environ, **slack_is})
            text = path.read_text(encoding="utf-8")
        fleet = config.readers["fleet"]
        seeded = dataclasses.replace(fleet, config=fleet.config.model_copy(update={"seed": seed}))
        oncall = config.notifiers["oncall"]
        hasty = type(
            "Hasty", (oncall.plugin,), {"pace": 0.0}
        )  # unlike Slack, the stand-in takes all that comes at once
        notifiers = {**config.notifiers, "oncall": dataclasses.replace(oncall, plugin=hasty)}
        config = dataclasses.replace(config, readers={"fleet": seeded}, notifiers=notifiers)
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
        _show(slack.posts)
    print_summary(summary)
    emit(f"Report: {report / 'report.html'}")
    report_errors(errors)


def _show(posts: tuple[Post, ...]) -> None:
    """The first event's message in a box."""
    import sys

    from rich.box import ROUNDED
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    from tsdiff_monitor.demo.slack_server import plain_message

    if not posts:
        return
    console = Console(file=sys.stdout, width=_WIDTH, highlight=False)
    emit("")
    console.print(Panel(Text(plain_message(posts[0])), title="#alerts", title_align="left", box=ROUNDED))
    where = "a stand-in for Slack on this machine"
    emit(f"{count(len(posts), 'message')} like this went to {where}; docs/notifiers.md says how to use the real one.")
