"""``tsdiff-monitor deliveries``: what has not arrived, and another try for what was given up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import count, emit, note
from tsdiff_monitor.cli.options import ConfigFile, Storage

if TYPE_CHECKING:
    from tsdiff_monitor.store.records import Undelivered
    from tsdiff_monitor.store.store import Store

__all__ = ["command"]

_COARSE = 3600  # seconds: from here on spans are shown in minutes


def command(
    config_file: ConfigFile,
    dead: Annotated[bool, typer.Option("--dead", help="Only those given up.")] = False,
    retry: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|all", help="Put a dead one, or all of them, back; may be given more than once."),
    ] = None,
    storage_path: Storage = None,
) -> None:
    """List the deliveries that are pending and those given up, with the reasons. A daemon may be running.

    With --retry, dead deliveries are tried again by the daemon, or by the next `once`.

    Example: tsdiff-monitor deliveries --dead --config.file monitor.yml
    """
    from tsdiff_monitor.config.loader import load_config
    from tsdiff_monitor.errors import StoreError
    from tsdiff_monitor.store.store import Store

    config = load_config(config_file)
    path = (storage_path or config.settings.storage_path) / "state.sqlite"
    chosen = _chosen(retry)
    if not path.exists():
        raise StoreError(f"{path}: there is no state here; give the --storage.path that the daemon uses")
    with Store(path) as store:
        if retry:
            _put_back(store, chosen)
            return
        found = store.undelivered(only_dead=dead)
    now = time.time()
    for one in found:
        for line in _lines(one, now):
            emit(line)
    for notifier in sorted({one.notifier for one in found}):
        states = Counter(one.status for one in found if one.notifier == notifier)
        gone = "" if notifier in config.notifiers else "; there is no notifier of this name any more"
        emit(f"{notifier}: {', '.join(f'{states[state]:,} {state}' for state in sorted(states))}{gone}")
    if not found:
        emit("nothing was given up" if dead else "nothing is pending, and nothing was given up")


def _chosen(retry: Sequence[str] | None) -> frozenset[int] | None:
    """The ids given; None for all."""
    if not retry or "all" in retry:
        return None
    wrong = [text for text in retry if not (text.isascii() and text.isdigit() and len(text) < 19)]
    if wrong:
        raise typer.BadParameter(
            f"{wrong[0]!r} is no delivery; give the number at the start of its line, or all", param_hint="--retry"
        )
    return frozenset(map(int, retry))


def _put_back(store: Store, chosen: frozenset[int] | None) -> None:
    wanted = {one.id: one for one in store.undelivered(only_dead=True) if chosen is None or one.id in chosen}
    emit(f"put back: {store.put_back(time.time(), wanted)}")
    overtaken = sum(one.overtaken for one in wanted.values())
    if overtaken:
        note(f"left as they are: {overtaken}, since their notifier has taken a later change of the same event")
    missing = sorted((chosen or frozenset()) - wanted.keys())
    if missing:
        note(f"error: not among the dead: {', '.join(map(str, missing))}; see `tsdiff-monitor deliveries --dead`")
        raise typer.Exit(1)


def _lines(one: Undelivered, now: float) -> Iterator[str]:
    from tsdiff_monitor.timeseries.frame import group_name

    event = one.change.event
    yield (
        f"{one.id}  {one.status}  {one.notifier}  {one.change.key} {one.change.change.value}  "
        f"{event.monitor} {_printable(group_name(event.group))}  {_state(one, now)}"
    )
    if one.reason is not None:
        yield f"    {one.reason}: {_printable(one.message or '')}"


def _state(one: Undelivered, now: float) -> str:
    tried = count(one.attempts, "attempt")
    if one.status == "dead":
        overtaken = "; a later change of the event has arrived" if one.overtaken else ""
        return f"{tried}, given up {_span(now - (one.finished or now))} ago{overtaken}"
    wait = one.next_attempt - now
    following = f", next in {_span(wait)} at the earliest" if one.attempts and wait >= 1 else ""
    return f"{tried}, committed {_span(now - one.created)} ago{following}"


def _span(seconds: float) -> str:
    """``2h5m``; of a clock that was put back nothing better than 0s is known."""
    whole = max(round(seconds), 0)
    if whole >= _COARSE:
        whole -= whole % 60
    from tsdiff_monitor.settings.durations import format_duration

    return format_duration(timedelta(seconds=whole))


def _printable(text: str) -> str:
    """Labels and answers come from elsewhere, and may hold what a terminal acts on."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
