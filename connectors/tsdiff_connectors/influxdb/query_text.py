"""Queries that users write in full: the span they are asked for put in, and what cannot work refused before it is sent.

The names that stand for the span are those that people know from InfluxDB's own pages and from Grafana. A query without
them would bring the same rows for any request, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from tsdiff_connectors.influxdb.config import Language
from tsdiff_connectors.influxdb.dialects import duration, time_literal
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["check_given", "fill_in", "is_given", "labels_ends"]

_GIVEN = {
    "flux": re.compile(r"\|>|\bfrom\s*\("),
    "influxql": re.compile(
        r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:select|with|explain|show|drop|delete|create|insert)\b", re.I | re.S
    ),
}
_BOUNDS = {
    "flux": (r"v\.timeRangeStart\b", r"v\.timeRangeStop\b", "|> range(start: v.timeRangeStart, stop: v.timeRangeStop)"),
    "influxql": (r"\$start\b|\$timeFilter\b", r"\$stop\b|\$timeFilter\b", "WHERE $timeFilter"),
}
_WORDS_AND_NOTES = {
    "flux": re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|//[^\n]*', re.S),
    "influxql": re.compile(r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|--[^\n]*|/\*.*?\*/""", re.S),
    "sql": re.compile(r"""(?P<text>'[^']*'|"[^"]*")|--[^\n]*|/\*.*?\*/""", re.S),
}
_EVERY = {
    "flux": re.compile(r"\b(?:every|period)\s*:\s*(?P<n>[0-9][0-9a-zµ]*)"),
    "influxql": re.compile(r"\btime\(\s*(?P<n>[0-9][0-9a-zµ]*)\s*[,)]", re.I),
    "sql": re.compile(r"\bdate_bin(?:_gapfill)?\(\s*interval\s*'(?P<n>[^']*)'", re.I),
}
_SHIFTED = {
    "flux": re.compile(r"\baggregateWindow\([^|]*?\boffset\s*:"),
    "influxql": re.compile(r"\btime\([^()]*,", re.I),
    "sql": re.compile(r"(?!)"),
}
_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NS |= {"d": 24 * _NS["h"], "w": 7 * 24 * _NS["h"]}
_WORDS = {"nanosecond": "ns", "microsecond": "us", "millisecond": "ms", "second": "s", "minute": "m", "hour": "h"}
_WORDS |= {"day": "d", "week": "w"}


def is_given(text: str, language: Language) -> bool:
    """True where ``text`` is in ``language``; else it must be in the short form."""
    pattern = _GIVEN["flux" if language == "flux" else "influxql"]
    return bool(pattern.search(text) if language == "flux" else pattern.match(text))


def check_given(text: str, language: Language, window_ns: int, zone: str | None) -> None:
    """Raise ``ValueError`` for a query whose rows cannot be those that are asked for, with what to write instead."""
    dialect = "flux" if language == "flux" else "influxql"
    code, plain = _code(text, language), _code(text, language, strings=False)
    if dialect != "flux":
        if not re.match(r"\s*(select|with)\b", plain, re.I) or re.search(r"\binto\b", plain, re.I):
            raise ValueError("a query reads: begin it with SELECT, without INTO")
        if re.search(r";\s*\S", plain):
            raise ValueError("it holds several statements; make each a query of its own")
    start, stop, example = _BOUNDS[dialect]
    if not (re.search(start, plain) and re.search(stop, plain)):
        raise ValueError(f"it does not say which time is asked for; write `{example}`")
    if zone is not None and zone not in code:
        clause = {"flux": f'location: timezone.location(name: "{zone}")', "sql": f"tz(time, '{zone}')"}
        clause["influxql"] = f"tz('{zone}')"
        raise ValueError(f"its days must begin in {zone} too; write `{clause[language]}` into it")
    if _SHIFTED[language].search(plain):
        raise ValueError("its windows are shifted by an offset, so none is over when a row is; remove the offset")
    for written, ns in _literal_windows(code, language):
        if ns is None or window_ns % ns:
            step = format_duration(timedelta(microseconds=window_ns // 1000))
            name = "v.windowPeriod" if language == "flux" else "$interval"
            raise ValueError(f"its windows of {written} do not fit rows of {step}; write `{name}`, or set its `step`")


def fill_in(text: str, language: Language, start_ns: int, stop_ns: int, window_ns: int, zone: str | None) -> str:
    """The query with the span ``start_ns <= t < stop_ns`` and the window's length put in."""
    every = "1d" if zone is not None else duration(window_ns)
    if language == "flux":
        names = {
            "timeRangeStart": time_literal(start_ns),
            "timeRangeStop": time_literal(stop_ns),
            "windowPeriod": every,
        }
        return re.sub(rf"\bv\.({'|'.join(names)})\b", lambda match: names[match[1]], text)
    if language == "influxql":
        start, stop = str(start_ns), str(stop_ns)
    else:
        start, stop = f"'{time_literal(start_ns)}'", f"'{time_literal(stop_ns)}'"
        every = "INTERVAL '1 day'" if zone is not None else _interval(window_ns)
    names = {"timeFilter": f"time >= {start} AND time < {stop}", "start": start, "stop": stop, "interval": every}
    names["__interval"] = every
    return re.sub(rf"\$({'|'.join(names)})\b", lambda match: names[match[1]], text)


def labels_ends(text: str, language: Language) -> bool:
    """True where the rows bear the end of their window, as Flux's ``aggregateWindow`` has it by default."""
    if language != "flux":
        return False
    code = _code(text, language)
    starts = len(re.findall(r'\btimeSrc\s*:\s*"_start"', code))
    copied = re.search(r'\bduplicate\(\s*column\s*:\s*"_stop"\s*,\s*as\s*:\s*"_time"', code)
    return len(re.findall(r"\baggregateWindow\(", code)) > starts or copied is not None


def _code(text: str, language: Language, *, strings: bool = True) -> str:
    """The query without its comments, and where asked without its quoted texts."""
    return _WORDS_AND_NOTES[language].sub(lambda match: (match["text"] or " ") if strings else " _ ", text)


def _literal_windows(code: str, language: Language) -> Iterator[tuple[str, int | None]]:
    """Window lengths that stand in the query as numbers, in nanoseconds; None for months and other calendar units."""
    for match in _EVERY[language].finditer(code):
        written = match["n"].strip()
        parts = re.findall(r"(\d+)\s*([a-zµ]+)", written.lower())
        units = [str(unit) for _, unit in parts]
        if language == "sql":
            units = [_WORDS.get(unit.rstrip("s"), unit) for unit in units]
        if all(unit in _NS for unit in units):
            yield written, sum(int(number) * _NS[unit] for (number, _), unit in zip(parts, units, strict=True)) or None
        else:
            yield written, None


def _interval(ns: int) -> str:
    for size, unit in ((10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds")):
        if ns % size == 0:
            return f"INTERVAL '{ns // size} {unit}'"
    return f"INTERVAL '{ns} nanoseconds'"
