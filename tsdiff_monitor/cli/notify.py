"""``tsdiff-monitor test-notify`` and ``tsdiff-monitor feedback``: what people do with messages."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tsdiff_monitor.cli.common import emit, note
from tsdiff_monitor.cli.options import ConfigFile, Storage

if TYPE_CHECKING:
    from tsdiff_monitor.events.event import Event
    from tsdiff_monitor.plugins import Notifier, Receipt
    from tsdiff_monitor.store.store import Store

__all__ = ["feedback_command", "test_command"]


def test_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The notifier, as the configuration names it.")],
    config_file: ConfigFile,
    leave_open: Annotated[bool, typer.Option("--leave-open", help="Send no resolution.")] = False,
) -> None:
    """Send an event marked as a test, with a picture, through one notifier, then its end, and say what arrived.

    Nothing is stored. Exit code 1 when the notifier could not deliver; the message says why, and what to do.

    Example: tsdiff-monitor test-notify oncall --config.file monitor.yml
    """
    import pandas as pd

    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.errors import ConfigError, ConfigProblem
    from tsdiff_monitor.events.sample import sample_changes
    from tsdiff_monitor.plugins import Context, close_plugin, pace_of, receipt_keeper
    from tsdiff_monitor.settings.suggest import did_you_mean

    config = load_config(config_file)
    if name not in config.notifiers:
        remedy = did_you_mean(name, config.notifiers, "notifiers") if config.notifiers else "add one"
        raise ConfigError(config.file, [ConfigProblem("notifiers", f"there is no notifier named {name!r}", remedy)])
    entry = config.notifiers[name]
    jitter = random.Random()  # noqa: S311 - not cryptography
    notifier: Notifier = entry.plugin(entry.config, Context(name=name, random=jitter))
    monitor = next((one for one, settings in config.monitors.items() if name in settings.notify), "monitor")
    changes = sample_changes(monitor, pd.Timestamp.now(tz="UTC"))
    keeper = receipt_keeper(notifier)
    receipt: Receipt | None = None
    try:
        for change in changes[: 1 if leave_open else 2]:
            if change is not changes[0]:
                time.sleep(pace_of(notifier))
            if keeper is None:
                notifier.notify(change)
            else:
                receipt = keeper.notify(change, receipt) or receipt
            kept = ", ".join(f"{key} {value}" for key, value in (receipt or {}).items())
            emit(f"{name} ({entry.type}) took the event's {change.change.value}{f': {kept}' if kept else ''}")
    finally:
        close_plugin(notifier)


def feedback_command(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id, or how it begins.")],
    verdict: Annotated[
        Literal["real", "false", "expected"],
        typer.Argument(
            metavar="real|false|expected",
            help="An incident, nothing at all, or a true deviation that needs no notification.",
        ),
    ],
    config_file: ConfigFile,
    said: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why.")] = None,
    storage_path: Storage = None,
) -> None:
    """Say what an event was. A daemon may be running meanwhile.

    The rows of false and expected alarms are learned from at the next fit, those of real incidents never; false ones
    count in the monitor's alarm rate, real and expected ones do not.

    Example: tsdiff-monitor feedback 0123abcd false --note "the nightly backup" --config.file monitor.yml
    """
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.store.store import Store

    path = (storage_path or load_config(config_file).settings.storage_path) / "state.sqlite"
    with Store(_existing(path)) as store:
        found = _one(store, event, path)
        store.give_feedback(found.id, verdict, said or "", time.time())
    emit(f"{found.id}: {verdict}")
    if verdict == "expected":
        note(_calendar_hint(found))


def _existing(path: Path) -> Path:
    from tsdiff_monitor.errors import StoreError

    if not path.exists():
        raise StoreError(f"{path}: there is no state here; give the --storage.path that the daemon uses")
    return path


def _one(store: Store, beginning: str, path: Path) -> Event:
    """The event whose id begins so."""
    from tsdiff_monitor.errors import StoreError

    matching = store.find_events(beginning) if beginning else []
    found = store.event(matching[0]) if len(matching) == 1 else None
    if found is not None:
        return found
    if len(matching) < 2:
        raise StoreError(f"{path}: there is no event {beginning}; every message about an event names it")
    shown = ", ".join(matching[:5])
    raise StoreError(f"{path}: {len(matching)} events begin with {beginning}: {shown}; give more of the id")


def _calendar_hint(event: Event) -> str:
    """The calendar entry that would keep the same quiet next week."""
    from tsdiff_monitor.settings.durations import format_duration

    end = event.end or event.last
    start = event.start.floor("1min")
    lasts = format_duration((end.ceil("1min") - start).to_pytimedelta())
    weekday = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")[int(start.strftime("%w"))]
    labels = ", ".join(f"{name}: {value!r}" for name, value in event.group)
    return (
        f"if it comes every week, add this to the monitor {event.monitor}, and it is no longer sent:\n"
        f'    calendar:\n      expected: {{cron: "{start.minute} {start.hour} * * {weekday}", lasts: {lasts}'
        f"{f', labels: {{{labels}}}' if labels else ''}}}"
    )
