"""The words of a message: numbers, times and culprits as a person reads them at three in the morning."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from tsdiff_monitor.events.event import Change, Culprit, Event
from tsdiff_monitor.frame import group_name

__all__ = [
    "culprit_text",
    "duration_text",
    "headline",
    "json_text",
    "number_text",
    "printable",
    "share_text",
    "time_text",
]

_PREFIXES = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_MOST_DIGITS = 8


def number_text(value: float | None, digits: int = 3) -> str:
    """``93.1``, ``41,200`` as ``41.2k``, ``0.0012``; ``no data`` for None and NaN."""
    if value is None or not math.isfinite(value):
        return "no data"
    scale, prefix = next(((size, sign) for least, size, sign in _PREFIXES if abs(value) >= least * 0.9995), (1.0, ""))
    return f"{_plain(value / scale, digits)}{prefix}"


def culprit_text(culprit: Culprit) -> str:
    """``93.1, expected 41.2–55.0``, with as many digits as it takes to tell the numbers apart."""
    band = (culprit.expected_lower, culprit.expected_upper)
    numbers = [culprit.actual, *(band if None not in band else (culprit.expected,))]
    wanted = len({number for number in numbers if number is not None})
    for digits in range(3, _MOST_DIGITS + 1):
        texts = [number_text(number, digits) for number in numbers]
        if len({text for text, number in zip(texts, numbers, strict=True) if number is not None}) == wanted:
            break
    actual, *expected = texts
    to = " to " if any(text.startswith("-") for text in expected) else "–"
    return actual if numbers[1:] == [None] else f"{actual}, expected {to.join(expected)}"


def share_text(culprit: Culprit) -> str:
    """The culprit's share of the score: ``62 %``."""
    return f"{culprit.attribution * 100:.0f} %"


def duration_text(seconds: float) -> str:
    """``45 s``, ``7 min``, ``2 h 5 min``, ``3 d 4 h``: the two largest units that matter."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def time_text(time: pd.Timestamp) -> str:
    """``2024-05-01 03:12 UTC``."""
    return time.tz_convert("UTC").strftime("%Y-%m-%d %H:%M UTC")


def headline(change: Change, event: Event) -> str:
    """One sentence: who, and what happened to it."""
    said = {
        Change.opened: "is behaving abnormally",
        Change.updated: "is still behaving abnormally",
        Change.resolved: "is back to normal",
    }[change]
    who = event.monitor if not event.group else f"{event.monitor}: {group_name(event.group)}"
    return printable(f"{who} {said}")


def printable(text: str) -> str:
    """``text`` without control characters: a label must not be able to move the cursor or forge a line."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def json_text(payload: Any) -> str:
    """``payload`` as one line of strict JSON; numbers that JSON lacks (NaN, infinities) become null."""
    return json.dumps(_strict(payload), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: float, digits: int) -> str:
    """``digits`` significant digits, without an exponent where a person would not write one."""
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded number: 9.996 is 10.0
    if exponent < -4:
        return f"{value:.{digits - 1}e}"
    text = f"{value:,.{max(digits - 1 - exponent, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and float(value).is_integer() else text
