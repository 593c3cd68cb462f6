"""Flux and InfluxQL as text: literals that nothing can break out of, and the short form written in each.

Flux: https://docs.influxdata.com/flux/v0/spec/lexical-elements/; InfluxQL:
https://docs.influxdata.com/influxdb/v1/query_language/spec/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from tsdiff_connectors.influxdb.shorthand import Matcher, Selection

__all__ = [
    "duration",
    "flux_from_selection",
    "flux_string",
    "influxql_from_selection",
    "influxql_name",
    "influxql_string",
    "time_literal",
]

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"))
_FLUX_FUNCTIONS = {"median": '(tables=<-, column) => tables |> median(column: column, method: "exact_mean")'}


def duration(ns: int) -> str:
    """Nanoseconds as a duration literal, valid in Flux and in InfluxQL: ``60s``, ``500ms``."""
    size, unit = next((size, unit) for size, unit in _UNITS if ns % size == 0)
    return f"{ns // size}{unit}"


def time_literal(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC; as it stands a literal in Flux."""
    return pd.Timestamp(ns, tz="UTC").isoformat().replace("+00:00", "Z")


def flux_string(text: str) -> str:
    """A Flux string literal; no text can end it or start an interpolation."""
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("${", "\\${"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(raw, escaped)
    return f'"{text}"'


def influxql_string(text: str) -> str:
    """An InfluxQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def influxql_name(text: str) -> str:
    """An InfluxQL identifier."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _pattern(text: str) -> str:
    """A regular-expression literal, for both languages: a slash that is not escaped yet would end it."""
    parts: list[str] = []
    escaped = False
    for letter in text:
        if letter == "/" and not escaped:
            parts.append("\\/")
        else:
            parts.append({"\n": "\\n", "\r": "\\r"}.get(letter, letter))
        escaped = letter == "\\" and not escaped
    if escaped:
        raise ValueError(f"the regular expression {text!r} ends in a backslash")
    if not text:
        raise ValueError("a regular expression is empty; leave the tag out, or write .* for any value")
    return f"/{''.join(parts)}/"


def flux_from_selection(
    selection: Selection, bucket: str, start_ns: int, stop_ns: int, every: str, zone: str | None
) -> str:
    """The short form in Flux: one row per window and series, at the window's start (``start_ns <= t < stop_ns``)."""
    tests = [_flux_test(matcher) for matcher in selection.matchers]
    if selection.any_of is not None:
        tests.append(_any_of(selection.any_of, _flux_test, "and", "or"))
    fields = " or ".join(f"r._field == {flux_string(name)}" for name in selection.fields)
    lines = ['import "timezone"'] if zone else []
    lines += [
        f"from(bucket: {flux_string(bucket)})",
        f"  |> range(start: {time_literal(start_ns)}, stop: {time_literal(stop_ns)})",
        f"  |> filter(fn: (r) => r._measurement == {flux_string(selection.measurement)} and ({fields}))",
    ]
    if tests:
        lines.append(f"  |> filter(fn: (r) => {' and '.join(tests)})")
    if selection.by is not None and selection.aggregate != "rate":  # rates are added up after they were taken
        columns = ", ".join(flux_string(name) for name in ("_field", *selection.by))
        lines.append(f"  |> group(columns: [{columns}])")
        if selection.aggregate in ("first", "last"):  # pooled series stand one after the other
            lines.append('  |> sort(columns: ["_time"])')
    location = f", location: timezone.location(name: {flux_string(zone)})" if zone else ""
    function = _flux_function(selection)
    lines.append(
        f'  |> aggregateWindow(every: {every}, fn: {function}, createEmpty: false, timeSrc: "_start"{location})'
    )
    return "\n".join(lines)


def _any_of(sets: Sequence[Sequence[Matcher]], test: Callable[[Matcher], str], both: str, either: str) -> str:
    """The condition that one of the sets holds, in parentheses. ``both`` and ``either`` are the language's words."""
    every = [f"({f' {both} '.join(test(matcher) for matcher in matchers)})" for matchers in sets]
    return f"({f' {either} '.join(every)})"


def _flux_test(matcher: Matcher) -> str:
    operator = {"=": "==", "!=": "!=", "=~": "=~", "!~": "!~"}[matcher.operator]
    value = _pattern(matcher.value) if "~" in operator else flux_string(matcher.value)
    tag = f"r[{flux_string(matcher.tag)}]"
    if matcher.operator in ("!=", "!~"):  # a series without the tag does not carry the value: Flux alone would drop it
        return f"(not exists {tag} or {tag} {operator} {value})"
    if matcher.operator == "=" and not matcher.value:  # as in InfluxQL and PromQL: the series without the tag
        return f"not exists {tag}"
    return f"{tag} {operator} {value}"


def _flux_function(selection: Selection) -> str:
    if selection.percent is not None:  # the same rule as InfluxQL's percentile: the value of nearest rank
        share = selection.percent / 100
        return f'(tables=<-, column) => tables |> quantile(q: {share:.6g}, column: column, method: "exact_selector")'
    return _FLUX_FUNCTIONS.get(selection.aggregate, "last" if selection.aggregate == "rate" else selection.aggregate)


def influxql_from_selection(
    selection: Selection, policy: str | None, start_ns: int, stop_ns: int, every: str, zone: str | None
) -> str:
    """The short form in InfluxQL: one row per window and series, at the window's start."""
    columns = ", ".join(f"{_influxql_call(selection, name)} AS {influxql_name(name)}" for name in selection.fields)
    measurement = ".".join(influxql_name(name) for name in (policy, selection.measurement) if name is not None)
    tests = "".join(f" AND {_influxql_test(matcher)}" for matcher in selection.matchers)
    if selection.any_of is not None:
        tests += f" AND {_any_of(selection.any_of, _influxql_test, 'AND', 'OR')}"
    tags = ", *"
    if selection.by is not None and selection.aggregate != "rate":  # rates are added up after they were taken
        tags = "".join(f", {influxql_name(name)}" for name in selection.by)
    clause = f" tz({influxql_string(zone)})" if zone else ""
    return (  # every name and value in it is a literal made above
        f"SELECT {columns} FROM {measurement} WHERE time >= {start_ns} AND time < {stop_ns}{tests} "  # noqa: S608
        f"GROUP BY time({every}){tags} fill(none){clause}"
    )


def _influxql_call(selection: Selection, field: str) -> str:
    name = influxql_name(field)
    if selection.percent is not None:
        return f"percentile({name}, {selection.percent:g})"
    return f"{'last' if selection.aggregate == 'rate' else selection.aggregate}({name})"


def _influxql_test(matcher: Matcher) -> str:
    value = _pattern(matcher.value) if "~" in matcher.operator else influxql_string(matcher.value)
    return f"{influxql_name(matcher.tag)} {matcher.operator} {value}"
