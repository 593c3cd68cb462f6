"""``tsdiff-monitor once``: one cycle of every monitor, for cron and for trying things out."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from tsdiff_monitor.cli.common import ConfigFile, Storage, note, parse_time, progress, report_errors

__all__ = ["command"]

_DRAIN_SECONDS = 30.0


def command(
    config_file: ConfigFile,
    storage_path: Storage = None,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="Score as if it were this time.")] = None,
) -> None:
    """Fit what has no model yet, score all new rows of every monitor, deliver, and exit.

    Each change of an event is printed on standard output as a line of JSON. Scoring goes on where the last run ended.
    Exit code 1 when a monitor failed; the others have been scored all the same.

    Example: tsdiff-monitor once --config.file monitor.yml | jq .event.culprits
    """
    import pandas as pd

    from tsdiff_monitor.assembly import assemble
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.errors import TsdiffError
    from tsdiff_monitor.frame import group_name

    at = parse_time(now, "--now") or pd.Timestamp.now(tz="UTC")
    errors: list[tuple[str, Exception]] = []
    with assemble(load_config(config_file), storage=storage_path) as parts:
        for name, pipeline in parts.pipelines.items():
            try:
                with progress() as advance:
                    fitted = pipeline.fit(
                        at - pd.Timedelta(pipeline.scheduler.offset),
                        only_missing=True,
                        progress=lambda group, done, total, name=name: advance(  # type: ignore[misc]
                            f"fitting {name} {group_name(group)}", done, total
                        ),
                    )
                ticked = pipeline.tick(at)
            except TsdiffError as error:
                errors.append((f"monitor {name}", error))
                continue
            for warning in dict.fromkeys(fitted.warnings + ticked.warnings):
                note(f"warning: monitor {name}: {warning}")
            found = [*fitted.errors, *ticked.errors]
            errors.extend((f"monitor {name}, {where}", error) for where, error in found)
            for change in ticked.changes:
                typer.echo(json.dumps(change.to_json()))
            note(f"monitor {name}: {ticked.rows:,} rows of {ticked.groups:,} groups scored")
            if not ticked.groups and not found:
                note(f"monitor {name}: the source has no new rows before {at.isoformat()} (see --now)")
        parts.dispatcher.drain(time.time() + _DRAIN_SECONDS)
    report_errors(errors)
    if errors:
        raise typer.Exit(1)
