"""Prometheus durations (``1h30m``, ``15s``, ``14d``) as :class:`datetime.timedelta`.

Syntax: https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations
(units ``ms s m h d w y``, largest first, each at most once).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNITS_MS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PATTERN = r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
_DURATION = re.compile(_PATTERN)


def parse_duration(text: str) -> timedelta:
    """Read a Prometheus duration. Raises ``ValueError`` with an example when it is not one."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        if text.strip() == "0":
            return timedelta(0)
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 5m, 1h30m or 14d")
    numbers = (int(number) if number else 0 for number in match.groups())
    milliseconds = sum(number * unit for number, unit in zip(numbers, _UNITS_MS.values(), strict=True))
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any timespan that can be handled") from None


def format_duration(span: timedelta) -> str:
    """Write a duration the way Prometheus does; the inverse of :func:`parse_duration` (to the millisecond)."""
    left = round(span.total_seconds() * 1000)
    if left <= 0:
        return "0s"
    parts = []
    for unit, size in _UNITS_MS.items():
        if unit in ("y", "w"):  # 14d reads better than 2w, and 400d better than 1y5w
            continue
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def _validate(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a duration; write it with its unit, like 30s, 5m or 14d")


Duration = Annotated[
    timedelta,
    BeforeValidator(_validate),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^(?=.)(?:0|{_PATTERN})$", "examples": ["30s", "1h30m", "14d"]}),
]
"""A pydantic field type: written as a Prometheus duration, read as ``timedelta``."""
