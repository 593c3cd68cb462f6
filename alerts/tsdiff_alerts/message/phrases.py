"""The words of a message: numbers, times and culprits as a person reads them at three in the morning."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pandas as pd

from tsdiff_alerts.message.incident import groups_text, member_names, plural
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import ABSENT, ANOMALY, Change, Culprit, Event, EventChange, ResolveReason
from tsdiff_monitor.timeseries.frame import group_name

__all__ = [
    "SHOWN_CULPRITS",
    "culprit_text",
    "duration_text",
    "headline",
    "json_text",
    "link_items",
    "number_text",
    "printable",
    "rate_text",
    "share_text",
    "shorten",
    "span_text",
    "summary",
    "sureness_text",
    "time_text",
    "top_culprits",
    "who",
]

SHOWN_CULPRITS = 3
"""Number of culprits that a message names; the rest is counted."""

_PREFIXES = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
_UNNAMED = 1e15 * 0.9995  # from here on units have names that are hardly known
_MOST_DIGITS = 8
_NAMES = 100  # characters for the groups that an incident's headline names
_SURENESS = ((4.0, "very sure"), (2.0, "sure"), (1.5, "fairly sure"), (1.0, "not very sure"))


def number_text(value: float | None, digits: int = 3) -> str:
    """``93.1``, ``41,200`` as ``41.2k``, ``0.0012``; ``no data`` for None and NaN."""
    if value is None or not math.isfinite(value):
        return "no data"
    if abs(value) >= _UNNAMED:
        return f"{value:.{digits - 1}e}"
    scale, prefix = next(((size, sign) for least, size, sign in _PREFIXES if abs(value) >= least * 0.9995), (1.0, ""))
    return f"{_plain(value / scale, digits)}{prefix}"


def culprit_text(culprit: Culprit) -> str:
    """``93.1 %, expected 41.2–55.0 %``, with as many digits as it takes to distinguish the numbers."""
    band = (culprit.expected_lower, culprit.expected_upper)
    numbers = [culprit.actual, *(band if None not in band else (culprit.expected,))]
    wanted = len({number for number in numbers if number is not None})
    for digits in range(3, _MOST_DIGITS + 1):
        texts = [number_text(number, digits) for number in numbers]
        if len({text for text, number in zip(texts, numbers, strict=True) if number is not None}) == wanted:
            break
    actual, *expected = texts
    to = " to " if any(text.startswith("-") for text in expected) else "–"
    first, second = (_with_unit(one, culprit.unit) for one in (actual, to.join(expected)))
    return first if numbers[1:] == [None] else f"{first}, expected {second}"


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


def span_text(event: Event) -> str:
    """``since 2024-05-01 03:05 UTC, 7 min so far``, or of a resolved event ``2024-05-01 03:05 UTC to ..., 25 min``."""
    lasted = duration_text(event.duration_seconds)
    if event.end is None:
        return f"since {time_text(event.start)}, {lasted} so far"
    same_day = event.start.tz_convert("UTC").date() == event.end.tz_convert("UTC").date()
    end = event.end.tz_convert("UTC").strftime("%H:%M UTC") if same_day else time_text(event.end)
    return f"{time_text(event.start)} to {end}, {lasted}"


def sureness_text(event: Event) -> str:
    """The monitor's confidence in words, and the score behind it."""
    if event.kind == ABSENT:
        return "no values arrive, although the source answers"
    word = next((word for least, word in _SURENESS if event.peak >= least), "not sure")
    return f"{word} (peak score {number_text(event.peak)}; alarms start at 1)"


def top_culprits(event: Event) -> tuple[tuple[Culprit, ...], int]:
    """The culprits that a message names, and how many it leaves out."""
    return event.culprits[:SHOWN_CULPRITS], max(len(event.culprits) - SHOWN_CULPRITS, 0)


def rate_text(details: Details) -> str | None:
    """The monitor's recent alarm rate: ``This monitor lately: ...``; None where nothing is known.

    Alarms count unless they are marked as real: without feedback it is unknown whether one was false.
    """
    allowed, seen = details.allowed_per_week, details.seen_per_week
    if seen is None:
        return None if allowed is None else f"This monitor: {_alarms(allowed, 'false ')} a week allowed"
    text = f"This monitor lately: {_alarms(seen)} a week not marked as real"
    return text if allowed is None else f"{text}, {_rate(allowed)} allowed"


def link_items(details: Details) -> list[tuple[str, str]]:
    """Title and address of each link that a browser can open: ``("Dashboard", "https://...")``."""
    found = []
    for name, address in details.links.items():
        if address.startswith(("https://", "http://")):
            title = printable(name).replace("_", " ").strip()
            found.append((title[:1].upper() + title[1:] or "Link", address))
    return found


def summary(change: EventChange) -> str:
    """The whole message in one line, for places that show no more."""
    named, left = top_culprits(change.event)
    parts = [f"{shorten(culprit.metric, 80)} {culprit_text(culprit)}" for culprit in named]
    parts += [f"and {left} more"] if left else []
    said = shorten(headline(change), 200)
    return f"{said}: {'; '.join(parts)}" if parts else said


def shorten(text: str, limit: int) -> str:
    """``text`` in one printable line of at most ``limit`` characters, with an ellipsis where it was cut."""
    text = printable(text).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


_SAID = {
    ANOMALY: {
        Change.opened: "is behaving abnormally",
        Change.updated: "is still behaving abnormally",
        Change.resolved: "is back to normal",
    },
    ABSENT: {
        Change.opened: "has stopped reporting",
        Change.updated: "is still not reporting",
        Change.resolved: "is reporting again",
    },
}

_ENDED = {
    ResolveReason.adapted: "has settled at a new level, which is taken for normal from now on",
    ResolveReason.expired: "has not reported for so long that it is taken to be gone for good",
}


def headline(change: EventChange) -> str:
    """One sentence: the group and its state; before it, in capitals, what marks an event that is no real one."""
    said = _SAID.get(change.event.kind, _SAID[ANOMALY])[change.change]
    if change.event.reason is not None and change.event.reason in _ENDED:
        said = _ENDED[change.event.reason]
    elif change.event.flapping and change.event.end is None:
        said = "keeps coming back to abnormal behaviour"
    mark = f"{printable(change.details.mark).upper()}: " if change.details.mark else ""
    if change.event.members:
        named, more = member_names(change.event)
        return f"{mark}{who(change.event)} {plural(said)} ({shorten(named, _NAMES)}{more})"
    return f"{mark}{who(change.event)} {said}"


def who(event: Event) -> str:
    """Subject of an event: the monitor and the group, or of an incident how many groups."""
    if event.members:
        return printable(groups_text(event))
    return printable(event.monitor if not event.group else f"{event.monitor}: {group_name(event.group)}")


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


def _with_unit(text: str, unit: str) -> str:
    """``93.1 %``; the sign of thousands goes with the unit (``1.50 GB``) where one stands for the whole."""
    unit = shorten(unit, 16)
    if not unit or text.endswith("no data"):
        return text
    signs = [part[-1] for part in re.split("–| to ", text)]
    if signs[0] in "kMGT" and len(set(signs)) == 1 and len(unit) <= 3:
        return f"{text.replace(signs[0], '')} {signs[0]}{unit}"
    return f"{text} {unit}"


def _alarms(rate: float, kind: str = "") -> str:
    shown = _rate(rate)
    return f"{shown} {kind}alarm{'' if shown == '1' else 's'}"


def _rate(rate: float) -> str:
    """Events a week, as precisely as a person cares: ``0.7``, ``1``, ``12``."""
    return f"{rate:,.0f}" if rate >= 9.95 else f"{rate:.2g}"
