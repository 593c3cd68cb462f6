"""Field types that several sections share. A validator's message reads ``problem; remedy``."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from tsdiff_monitor.durations import Duration

__all__ = ["ClockTime", "Names", "PositiveDuration"]

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

Names = Annotated[tuple[str, ...], AfterValidator(_once_each)]
"""A list of names, none of them twice."""
