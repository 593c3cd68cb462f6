"""``tsdiff-monitor rehearse``: the incidents that would be noticed, before there is one."""

from __future__ import annotations

import dataclasses
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from tsdiff_monitor.cli.options import ConfigFile, Monitor, Storage

if TYPE_CHECKING:
    from tsdiff_monitor.config.loader import Config
    from tsdiff_monitor.rehearsal.examples import Example
    from tsdiff_monitor.rehearsal.run import Options

__all__ = ["command"]

_SENT = 3
"""Events that notifiers get at most."""


def command(
    config_file: ConfigFile,
    monitor: Monitor = None,
    send: Annotated[
        bool,
        typer.Option("--send", help="Send up to three of the events, marked as synthetic, to the monitor's notifiers."),
    ] = False,
    per_kind: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=1000, help="Incidents of each kind, and in each metric alone, per group."),
    ] = 8,
    groups: Annotated[int, typer.Option(metavar="N", min=1, help="Only the first N groups, by their labels.")] = 5,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Another seed, other incidents.")] = 0,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Folder for rehearsal.json and rehearsal.html.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Use the newest rows before this time.")] = None,
    storage_path: Storage = None,
) -> None:
    """Put incidents of many kinds into your own normal data, and see which of them would be noticed.

    Prints, per kind, how many are found, how late, and with which culprits, and the metrics whose failure would
    go unnoticed. Scores, rules and events are those of `run`; its state and models are read, never changed, and nothing
    is sent unless with --send: then up to three events, marked as synthetic, each opened and resolved. Exit code 1 when
    a group failed; the others are reported all the same.

    Example: tsdiff-monitor rehearse --config.file monitor.yml --report rehearsal
    """
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.models.repository import folder_name
    from tsdiff_monitor.rehearsal.run import Options

    last = parse_time(end, "--end")
    config = load_config(config_file)
    if storage_path is not None:
        settings = config.settings.model_copy(update={"storage_path": storage_path})
        config = dataclasses.replace(config, settings=settings)
    options = Options(per_kind, seed, groups, last, _SENT if send else 0)
    names = _chosen(config, monitor, send)
    errors: Errors = []
    for name in names:
        folder = report if report is None or len(names) == 1 else report / folder_name(name)
        with collecting(errors, f"monitor {name}"), _work_folder(folder) as work:
            _rehearse(config, name, options, folder, work, errors)
    report_errors(errors)


def _chosen(config: Config, monitor: str | None, send: bool) -> list[str]:
    """The monitors to rehearse. Raises ``ConfigError`` when there is none of that name, or none with a notifier."""
    from tsdiff_monitor.config.dry_run import dry_run
    from tsdiff_monitor.errors import ConfigError, ConfigProblem

    names = list(dry_run(config, only=monitor).monitors)
    if send and not config.settings.routes:
        for name in names:
            if not config.monitors[name].notify:
                problem = ConfigProblem(
                    f"monitors.{name}.notify", "there is no notifier", "name a notifier, or drop --send"
                )
                raise ConfigError(config.file, [problem])
    return names


@contextmanager
def _work_folder(report: Path | None) -> Iterator[Path]:
    """A folder for temporary state: in the report's folder, which is then ours alone, or in the system's."""
    from tsdiff_monitor.system.file_lock import exclusive

    if report is not None:
        with exclusive(report) as work:
            yield work
    else:
        with tempfile.TemporaryDirectory(prefix="tsdiff-rehearse-") as folder:
            yield Path(folder)


def _rehearse(config: Config, name: str, options: Options, report: Path | None, work: Path, errors: Errors) -> None:
    """One monitor; adds what failed to ``errors``, and raises when there is nothing to report."""
    import pandas as pd

    from tsdiff_monitor.app.build import assemble
    from tsdiff_monitor.cli.rehearse_text import print_outcome
    from tsdiff_monitor.config.dry_run import dry_run
    from tsdiff_monitor.errors import DataError
    from tsdiff_monitor.models.repository import ModelStore
    from tsdiff_monitor.rehearsal.run import rehearse
    from tsdiff_monitor.rehearsal.state import copy_state
    from tsdiff_monitor.rehearsal.write import write_outcome

    began = time.monotonic()
    storage = config.settings.storage_path
    copy_state(storage, work)
    with assemble(dry_run(config, only=name), storage=work, models=storage / "models-rehearse") as parts:
        # Recipients are worked out, but nothing of the pipeline's own store is ever delivered.
        pipeline = dataclasses.replace(
            parts.pipelines[name], monitor=config.monitors[name], routes=config.settings.routes
        )
        with progress() as advance:
            outcome, examples, failed = rehearse(
                pipeline,
                ModelStore(storage / "models"),
                options,
                work=work,
                now=pd.Timestamp.now(tz="UTC"),
                progress=advance,
                clock=time.monotonic,
            )
        errors.extend((f"monitor {name}, {where}", error) for where, error in failed)
        if not outcome.groups:
            raise DataError("nothing could be rehearsed: see the errors about its groups")
        if report is not None:
            write_outcome(outcome, report)
        print_outcome(outcome)
        if report is not None:
            emit(str(report / "rehearsal.html"))
        if options.examples:
            _send(config, name, examples, work, errors)
    note(f"monitor {name}: done in {time.monotonic() - began:.0f} s")


def _send(config: Config, name: str, examples: tuple[Example, ...], work: Path, errors: Errors) -> None:
    """Send the examples to the monitor's notifiers, and say what they took."""
    import pandas as pd

    from tsdiff_monitor.errors import DeliveryError
    from tsdiff_monitor.plugins import Context, close_plugin
    from tsdiff_monitor.rehearsal.send import send
    from tsdiff_monitor.store.store import Store

    now, events = pd.Timestamp.now(tz="UTC"), []
    for number, example in enumerate(examples):
        with Store(work / f"example-{number}.sqlite") as store:
            changes = example.changes(now, store)
        if changes is not None:
            events.append(changes)
    if not events:
        note(f"monitor {name}: nothing was found, so there is nothing to send")
        return
    jitter = random.Random()  # noqa: S311 - not cryptography
    wanted = {*config.monitors[name].notify, *(one for route in config.settings.routes for one in route.notifiers)}
    notifiers = {
        one: config.notifiers[one].plugin(config.notifiers[one].config, Context(name=one, random=jitter))
        for one in sorted(wanted)
    }
    try:
        sent = send(events, config.monitors[name], config.settings.routes, notifiers, work, jitter=jitter)
    finally:
        for notifier in notifiers.values():
            close_plugin(notifier)
    if not sent:
        note(f"monitor {name}: no route matches a synthetic event now, so none was sent")
    events_text = count(len(events), "synthetic event")
    for one in sent:
        emit(f"{one.notifier} took {one.delivered} of {count(one.wanted, 'message')} about {events_text}")
        if one.delivered < one.wanted:
            why = ", ".join(one.reasons) or "no answer in time"
            error = DeliveryError(
                f"did not take every message ({why}); try: tsdiff-monitor test-notify {one.notifier}",
                recoverable=False,
                reason="undelivered",
            )
            errors.append((f"monitor {name}, notifier {one.notifier}", error))
