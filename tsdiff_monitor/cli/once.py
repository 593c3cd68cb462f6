"""``tsdiff-monitor once``: one cycle of every monitor, for cron and for trying things out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, TextIO

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
from tsdiff_monitor.cli.options import ConfigFile, Storage

if TYPE_CHECKING:
    import pandas as pd

    from tsdiff_monitor.events.event import EventChange
    from tsdiff_monitor.pipeline.pipeline import Pipeline

__all__ = ["command"]

_DRAIN_SECONDS = 30.0


def command(
    config_file: ConfigFile,
    storage_path: Storage = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Score as if it were this time.")] = None,
) -> None:
    """Score all new rows of every monitor, fit what has no model yet, deliver, forget what is old, and exit.

    Each change of an event is printed on standard output as a line of JSON, and nothing else is: what a console
    notifier prints goes to standard error. Scoring goes on where the last run ended. Exit code 1 when a monitor failed;
    the others have been scored all the same.

    Example: tsdiff-monitor once --config.file monitor.yml | jq .event.culprits
    """
    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.store.retention import Keep, forget_old

    at = parse_time(now, "--now") or pd.Timestamp.now(tz="UTC")
    errors: Errors = []
    out = sys.stdout
    with redirect_stdout(sys.stderr), assemble(load_config(config_file), storage=storage_path) as parts:
        for name, pipeline in parts.pipelines.items():
            with collecting(errors, f"monitor {name}"):
                errors.extend((f"monitor {name}, {where}", error) for where, error in _cycle(pipeline, at, out))
        with collecting(errors, "deliveries"):
            parts.resender.run_due()
            parts.resender.finish(_DRAIN_SECONDS)
            parts.dispatcher.drain(time.time() + _DRAIN_SECONDS)
        with collecting(errors, "old events and groups"):
            settings, monitors = parts.config.settings, parts.config.monitors
            keep = Keep(settings.keep_events, settings.keep_groups)
            forget_after = {name: monitor.forget_after for name, monitor in monitors.items()}
            gone = forget_old(parts.store, parts.models, forget_after, at, keep)
            if gone.events:
                note(f"{count(gone.events, 'old event')} forgotten")
            if gone.groups:
                note(f"{count(gone.groups, 'group')} forgotten, of which nothing is read any more")
    report_errors(errors)


def _cycle(pipeline: Pipeline, at: pd.Timestamp, out: TextIO) -> Errors:
    """Score, and where models are missing fit and score once more; gives what failed."""
    from tsdiff_monitor.errors import ModelError, ShortHistoryError
    from tsdiff_monitor.timeseries.frame import group_name

    ticks = [pipeline.tick(at, absent=True)]
    _print(ticks[0].changes, out)
    warnings, errors = ticks[0].warnings, ticks[0].errors
    warnings += tuple(str(error) for error in ticks[0].calendar_errors.values())
    if ticks[0].without_model:
        with progress() as advance:
            fitted = pipeline.fit(
                at,
                only_missing=True,
                progress=lambda group, done, total: advance(
                    f"fitting {pipeline.name} {group_name(group)}", done, total
                ),
            )
        ticks.append(pipeline.tick(at, cold_start=True))  # for the groups that could not be fit
        _print(ticks[1].changes, out)
        unusable = [one for one in errors if isinstance(one[1], ModelError)]  # by now they have been fit again
        young = [one for one in fitted.errors if isinstance(one[1], ShortHistoryError)]  # fit when they are older
        failed = [one for one in fitted.errors if one not in young]
        errors = [one for one in errors if one not in unusable] + failed + ticks[1].errors
        warnings += tuple(str(error) for _, error in unusable) + fitted.warnings + ticks[1].warnings
        warnings += tuple(f"{where}: not fit yet: {error}" for where, error in young)
    for warning in dict.fromkeys(warnings):
        note(f"warning: monitor {pipeline.name}: {warning}")
    rows, groups = sum(tick.rows for tick in ticks), sum(tick.groups for tick in ticks)
    note(f"monitor {pipeline.name}: {count(rows, 'row')} of {count(groups, 'group')} scored")
    if cold := ticks[-1].cold_start:
        note(
            f"monitor {pipeline.name}: {count(len(cold), 'group')} scored by the cold start, for want of a fitted model"
        )
    if not groups and not errors:
        note(f"monitor {pipeline.name}: the source has no new rows before {at.isoformat()} (see --now)")
    return list({(where, str(error)): (where, error) for where, error in errors}.values())


def _print(changes: Sequence[EventChange], out: TextIO) -> None:
    for change in changes:
        emit(json.dumps(change.to_json()), out)
