"""Field types that several sections share. A validator's message reads ``problem; remedy``."""

from __future__ import annotations

import difflib
import re
from datetime import time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from tsdiff_monitor.settings.durations import Duration

__all__ = ["ClockTime", "Names", "PositiveDuration", "TimeZone"]

_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("must be longer than 0s; write it like 30s, 5m, 1h30m or 14d")
    return span


def _clock(value: Any) -> time:
    if isinstance(value, time):
        return value
    match = re.fullmatch(_CLOCK, value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a time of day; write hours and minutes, like "03:00"')
    return time(int(match[1]), int(match[2]))


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a relative path; a folder of the zone database
        close = difflib.get_close_matches(name, sorted(available_timezones()), n=1)
        hint = f"did you mean `{close[0]}`?" if close else "write an IANA name like UTC or Europe/Berlin"
        raise ValueError(f"{name!r} is not a known time zone; {hint}") from None
    return name


def _once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once; name each once")
    return names


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""A Prometheus duration above zero."""

ClockTime = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda value: f"{value:%H:%M}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK}$", "examples": ["03:00"]}),
]
"""A time of day, ``HH:MM``, without a zone of its own."""

TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""IANA name of a time zone."""

Names = Annotated[tuple[str, ...], AfterValidator(_once_each)]
"""A list of names, none of them twice."""
