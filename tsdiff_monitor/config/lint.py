"""Warnings about a configuration that is valid but will hardly do what its author wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.errors import ConfigProblem
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.settings.keys import path_text

__all__ = ["OPEN_TO_ALL", "is_loopback", "lint"]

OPEN_TO_ALL = "page, API and metrics show labels and values of groups to everyone who reaches this address"
"""The server asks for no password and does not encrypt."""
REMEDY = "listen on 127.0.0.1 and put a proxy with authentication and TLS in front"

_MOST_ALARMS_PER_WEEK = 50.0
_MOST_WINDOWS_BETWEEN_RUNS = 4


def lint(config: Config) -> list[ConfigProblem]:
    """Warnings, in a stable order: the web server, monitors, unused entries, then secrets in clear text."""
    return [*_web(config), *_monitors(config), *_unused(config), *_secrets(config)]


def _web(config: Config) -> Iterator[ConfigProblem]:
    if not is_loopback(config.settings.web.host):
        yield ConfigProblem(path_text("settings", "web", "listen_address"), OPEN_TO_ALL, REMEDY)


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _monitors(config: Config) -> Iterator[ConfigProblem]:
    for name, monitor in config.monitors.items():
        if not (monitor.notify or monitor.write or config.settings.routes):
            unseen = "its events reach no one: it has neither `notify` nor `write`"
            yield ConfigProblem(path_text("monitors", name), unseen, "name a notifier under `notify`")
        if monitor.alarms_per_week > _MOST_ALARMS_PER_WEEK:
            many = f"{monitor.alarms_per_week:g} false events a week are more than people will read"
            yield ConfigProblem(path_text("monitors", name, "alarms_per_week"), many, "start with 1")
        span = config.models[monitor.model].window * monitor.step
        every = config.schedulers[monitor.scheduler].infer_every
        if every > _MOST_WINDOWS_BETWEEN_RUNS * span:
            late = (
                f"`infer_every` of scheduler {monitor.scheduler!r}, {format_duration(every)}, is far longer than the "
                f"{format_duration(span)} the model sees at once: events are found late"
            )
            remedy = f"lower it to {format_duration(span)} or less, or raise `step`"
            yield ConfigProblem(path_text("monitors", name, "scheduler"), late, remedy)


def _unused(config: Config) -> Iterator[ConfigProblem]:
    monitors = config.monitors.values()
    routed = {name for route in config.settings.routes for name in route.notifiers}
    used: Mapping[str, tuple[Mapping[str, object], set[str]]] = {
        "readers": (config.readers, {monitor.reader for monitor in monitors}),
        "models": (config.models, {monitor.model for monitor in monitors}),
        "schedulers": (config.schedulers, {monitor.scheduler for monitor in monitors}),
        "notifiers": (config.notifiers, {name for monitor in monitors for name in monitor.notify} | routed),
        "writers": (config.writers, {name for monitor in monitors for name in monitor.write}),
    }
    for section, (entries, names) in used.items():
        for name in entries:
            if name not in names:
                yield ConfigProblem(
                    path_text(section, name), "no monitor uses it", "remove it, or name it in a monitor"
                )


def _secrets(config: Config) -> Iterator[ConfigProblem]:
    remedy = "use `${NAME}`, or the `_file` twin where the key has one"
    for key in config.inline_secrets:
        yield ConfigProblem(key, "a secret is written in the file in clear text", remedy)
