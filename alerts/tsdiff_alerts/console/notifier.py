"""Prints an event's changes to standard output or standard error, for people or as JSON lines."""

from __future__ import annotations

import io
from typing import Any, Literal, cast

from rich.console import Console
from rich.text import Text

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    culprit_text,
    duration_text,
    headline,
    json_text,
    number_text,
    printable,
    share_text,
    time_text,
)
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Event, EventChange, Severity
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["ConsoleNotifier"]

_CULPRITS = 3
_CHANGE_STYLE = {
    Change.opened: "bold white on red",
    Change.updated: "bold black on yellow",
    Change.resolved: "bold green",
}
_SEVERITY_STYLE = {Severity.critical: "bold red", Severity.warning: "yellow", Severity.info: "cyan"}


class ConsoleNotifier:
    """A notifier that prints."""

    class Config(StrictModel):
        """Events on the console."""

        style: Literal["pretty", "plain", "json"] = "pretty"
        """`pretty` (in colour; `plain` where the output is no terminal), `plain` text, or `json`: a line each."""
        stream: Literal["stdout", "stderr"] = "stdout"
        """The stream to print to."""

    def __init__(self, config: Config, context: Context, console: Console | None = None) -> None:  # noqa: ARG002
        self._config = config
        self._console = console or Console(stderr=config.stream == "stderr", highlight=False)

    def notify(self, change: EventChange) -> None:
        """Print one change. Raises ``DeliveryError`` when the stream is closed or full."""
        if self._config.style == "json":
            out = json_text(change.to_json()) + "\n"
        elif self._config.style == "plain" or not self._console.is_terminal:
            out = _message(change).plain + "\n"
        else:
            out = self._coloured(_message(change))
        try:  # not through rich, which ends the process when a pipe breaks
            self._console.file.write(out)
            self._console.file.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(
                f"cannot print to {self._config.stream}: {error}; check where it is redirected to",
                recoverable=False,
                reason="closed",
            ) from error

    def _coloured(self, message: Text) -> str:
        """The message with the escape codes that the terminal understands."""
        out = io.StringIO()
        colours = cast(Any, self._console.color_system)
        console = Console(file=out, force_terminal=True, color_system=colours, no_color=self._console.no_color)
        console.print(message, soft_wrap=True)
        return out.getvalue()


def _message(change: EventChange) -> Text:
    event = change.event
    at = event.end if change.change is Change.resolved and event.end is not None else event.last
    text = Text(f"{time_text(at)}  ", no_wrap=True)
    text.append(f" {change.change.value.upper()} ", _CHANGE_STYLE[change.change])
    text.append("  ")
    text.append(event.severity.value, _SEVERITY_STYLE[event.severity])
    text.append(f"  {headline(change)}\n")
    text.append(f"  {_course(change.change, event)}\n", "dim")
    shown = event.culprits[:_CULPRITS]
    width = max((len(printable(culprit.metric)) for culprit in shown), default=0)
    for culprit in shown:
        text.append(f"  {printable(culprit.metric):<{width}}", "bold")
        text.append(f"  {culprit_text(culprit)} ({share_text(culprit)})\n")
    left = len(event.culprits) - len(shown)
    if left > 0:
        text.append(f"  and {left} more\n", "dim")
    explained = explanation_text(event, printable)
    if explained:
        text.append(f"  {explained}\n")
    text.rstrip()
    return text


def _course(change: Change, event: Event) -> str:
    peak = f"peak score {number_text(event.peak)} at {time_text(event.peak_time)} (above 1 is abnormal)"
    lasted = duration_text(event.duration_seconds)
    if change is Change.resolved:
        return f"it lasted {lasted}, from {time_text(event.start)}; {peak}"
    return f"since {time_text(event.start)}, for {lasted} so far; {peak}"
