"""The console says what is wrong in words that wake no one twice."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from tsdiff_alerts.console import ConsoleNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Culprit, EventChange
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import NotifierConformance, example_change


def printed(change: EventChange, *, terminal: bool = False, **config: str) -> str:
    """The output of a notifier."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=60, color_system="standard" if terminal else None)
    ConsoleNotifier(ConsoleNotifier.Config.model_validate(config), Context(), console).notify(change)
    return out.getvalue()


class TestConsole(NotifierConformance):
    """The promises of every notifier."""

    def make(self, context: Context) -> ConsoleNotifier:
        return ConsoleNotifier(ConsoleNotifier.Config(), context, Console(file=io.StringIO()))


def test_opened_in_plain_words() -> None:
    """Time, what it is, how bad, to whom, since when, the peak, and three culprits with actual and expected."""
    assert printed(example_change()) == (
        "2024-05-01 03:12 UTC   OPENED   critical  hosts: instance=web-1 is behaving abnormally\n"
        "  since 2024-05-01 03:05 UTC, for 7 min so far; "
        "peak score 4.21 at 2024-05-01 03:10 UTC (above 1 is abnormal)\n"
        "  cpu       93.1, expected 41.2–55 (62 %)\n"
        "  requests  41.2k, expected 15.5k–20.1k (21 %)\n"
        "  memory    0.0125, expected 0.0102–0.0119 (12 %)\n"
        "  and 1 more\n"
    )


def test_what_explains_it() -> None:
    """The fewest metrics that explain the event are the last line; control characters in their names do nothing."""
    change = example_change(Change.resolved, explanation=Explanation(("memory\r",), 4.21, 0.61))
    assert printed(change).splitlines()[-2:] == [
        "  and 1 more",
        "  memory\N{REPLACEMENT CHARACTER} alone explained it: "
        "with it as expected the peak score would have been 0.61 instead of 4.2.",
    ]
    assert "\r" not in printed(change, terminal=True)


def test_resolved_says_how_long_it_lasted() -> None:
    """The end says that all is well again."""
    text = printed(example_change(Change.resolved))
    assert text.startswith("2024-05-01 03:30 UTC   RESOLVED   critical  hosts: instance=web-1 is back to normal\n")
    assert "it lasted 25 min, from 2024-05-01 03:05 UTC" in text


def test_colours_only_on_a_terminal() -> None:
    """Escape codes go to a terminal and nowhere else, and never with the plain style."""
    assert "\x1b[" in printed(example_change(), terminal=True)
    assert "\x1b[" not in printed(example_change())
    assert "\x1b[" not in printed(example_change(), terminal=True, style="plain")
    assert printed(example_change(), terminal=True, style="plain") == printed(example_change())


def test_names_are_printed_as_they_are() -> None:
    """Markup in a name is text, and control characters can neither move the cursor nor forge a line."""
    culprit = Culprit("[red]cpu[/red]\x1b[2J\nfake", 1.0, 1.0, 2.0, 1.5, 2.5)
    for terminal in (False, True):
        text = printed(example_change(culprits=(culprit,), group=(("host", "a\rb"),)), terminal=terminal)
        assert "[red]cpu[/red]" in text
        assert "\x1b[2J" not in text and "\r" not in text and "\nfake" not in text


def test_json_lines() -> None:
    """Each change is one line of strict JSON, also where a number is missing."""
    change = example_change(peak=float("inf"))
    text = printed(change, style="json")
    assert text.count("\n") == 1
    read = json.loads(text)
    assert read["key"] == change.key
    assert read["event"]["peak_score"] is None
    assert read["event"]["culprits"][0]["metric"] == "cpu"


def test_a_closed_stream_is_reported() -> None:
    """A broken pipe ends neither the process nor the other notifiers."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    for style in ("pretty", "plain", "json"):
        config = ConsoleNotifier.Config.model_validate({"style": style})
        notifier = ConsoleNotifier(config, Context(), Console(file=Broken(), force_terminal=True))
        with pytest.raises(DeliveryError, match="cannot print to stdout") as caught:
            notifier.notify(example_change())
        assert (caught.value.reason, caught.value.recoverable) == ("closed", False)


def test_the_stream_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """Events go to standard output, or to standard error where that is asked for."""
    for stream in ("stdout", "stderr"):
        config = ConsoleNotifier.Config.model_validate({"stream": stream})
        ConsoleNotifier(config, Context()).notify(example_change())
        out, err = capsys.readouterr()
        assert "OPENED" in (out if stream == "stdout" else err)
        assert "OPENED" not in (err if stream == "stdout" else out)


def test_long_lines_are_not_broken() -> None:
    """A terminal may wrap lines, the notifier does not: they stay searchable."""
    long = Culprit("x" * 200, 1.0, 1.0, 2.0, 1.5, 2.5)
    assert "x" * 200 in printed(example_change(culprits=(long,)), terminal=True)


def test_times_are_utc() -> None:
    """Times in another zone are given in UTC."""
    text = printed(example_change(last=pd.Timestamp("2024-05-01T05:12:00+02:00")))
    assert text.startswith("2024-05-01 03:12 UTC")
