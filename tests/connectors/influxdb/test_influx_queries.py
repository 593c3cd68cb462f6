"""The short form in both languages, and what is put into and refused of queries in full."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.influxdb.config import Language
from tsdiff_connectors.influxdb.dialects import (
    duration,
    flux_from_selection,
    flux_string,
    influxql_from_selection,
    influxql_name,
    influxql_string,
)
from tsdiff_connectors.influxdb.groups import of_groups
from tsdiff_connectors.influxdb.query_text import check_given, fill_in, is_given, labels_ends
from tsdiff_connectors.influxdb.shorthand import Matcher, Selection, parse_selection
from tsdiff_monitor.plugins import ReadRequest

HOUR = pd.Timestamp("2024-05-01T03:00:00Z")
MINUTE = 60 * 10**9
DAY = 1440 * MINUTE
START, STOP = 1_714_532_400 * 10**9, 1_714_533_000 * 10**9


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("cpu.usage_idle", Selection("cpu", ("usage_idle",))),
        ("mem.used, free | max", Selection("mem", ("used", "free"), aggregate="max")),
        ('"disk.io"."read \\"b\\""', Selection("disk.io", ('read "b"',))),
        (
            'cpu.idle{cpu="cpu-total", host=~"web\\.\\d+",} | p99.9 by (host, "data center")',
            Selection(
                "cpu",
                ("idle",),
                (Matcher("cpu", "=", "cpu-total"), Matcher("host", "=~", "web\\.\\d+")),
                "percentile",
                99.9,
                ("host", "data center"),
            ),
        ),
        (
            'net.rx{a!="b",c!~"d"}|rate',
            Selection("net", ("rx",), (Matcher("a", "!=", "b"), Matcher("c", "!~", "d")), "rate"),
        ),
        ("m.f | sum by ()", Selection("m", ("f",), aggregate="sum", by=())),
    ],
)
def test_the_short_form_is_read(text: str, selection: Selection) -> None:
    """Measurement, fields, matchers, aggregate and tags, with quotes around what is no plain word."""
    assert parse_selection(text) == selection


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu", "lacks a dot between measurement and field at its end"),
        ("cpu.", "lacks a field at its end"),
        ("cpu.idle{host}", "lacks one of = != =~ !~ before '}'"),
        ("cpu.idle{host=web}", "lacks a value in double quotes before 'web}'"),
        ('cpu.idle{host="a" cpu="b"}', "lacks `,` or `}` after a tag"),
        ("cpu.idle | avg", "lacks one of mean, sum"),
        ("cpu.idle | p0", "a percentile like p95"),
        ("cpu.idle | mean by host", r"lacks `\(` after by"),
        ("cpu.idle mean", "lacks the end of the query before 'mean'"),
        ("cpu.idle,idle", "'idle' stands twice"),
        ('cpu."".x', "lacks a field"),
        ("(1 + 2)", "lacks a measurement"),
    ],
)
def test_what_is_not_the_short_form_is_refused(text: str, message: str) -> None:
    """The error says what was expected where."""
    with pytest.raises(ValueError, match=message):
        parse_selection(text)


def test_the_short_form_in_flux() -> None:
    """Written out once, so that a change is seen."""
    selection = parse_selection('cpu.idle,user{cpu="total", host=~"a/b", dc!="x", rack=""} | p95 by (host)')
    assert flux_from_selection(selection, "b/autogen", START, STOP, "1d", "Europe/Berlin") == (
        'import "timezone"\n'
        'from(bucket: "b/autogen")\n'
        "  |> range(start: 2024-05-01T03:00:00Z, stop: 2024-05-01T03:10:00Z)\n"
        '  |> filter(fn: (r) => r._measurement == "cpu" and (r._field == "idle" or r._field == "user"))\n'
        '  |> filter(fn: (r) => r["cpu"] == "total" and r["host"] =~ /a\\/b/ and '
        '(not exists r["dc"] or r["dc"] != "x") and not exists r["rack"])\n'
        '  |> group(columns: ["_field", "host"])\n'
        "  |> aggregateWindow(every: 1d, fn: (tables=<-, column) => tables "
        '|> quantile(q: 0.95, column: column, method: "exact_selector"), createEmpty: false, timeSrc: "_start", '
        'location: timezone.location(name: "Europe/Berlin"))'
    )


def test_the_short_form_in_influxql() -> None:
    """Written out once, so that a change is seen."""
    selection = parse_selection('cpu.idle,user{cpu="total", host=~"a/b"} | p95 by (host)')
    assert influxql_from_selection(selection, "weekly", START, STOP, "60s", "Europe/Berlin") == (
        'SELECT percentile("idle", 95) AS "idle", percentile("user", 95) AS "user" FROM "weekly"."cpu" '
        f'WHERE time >= {START} AND time < {STOP} AND "cpu" = \'total\' AND "host" =~ /a\\/b/ '
        "GROUP BY time(60s), \"host\" fill(none) tz('Europe/Berlin')"
    )


def _closed(literal: str, quote: str) -> bool:
    """True if nothing but the last character ends the literal."""
    return re.fullmatch(rf"{quote}(?:[^{quote}\\\n]|\\.)*{quote}", literal) is not None


@given(st.text(alphabet=st.sampled_from("\"'\\/$ {}a\n\r") | st.characters(codec="utf-8")))
def test_no_text_breaks_out_of_its_literal(text: str) -> None:
    """Names and values can hold anything: they stay inside their quotes, and start no interpolation."""
    flux = flux_string(text)
    assert _closed(flux, '"')
    assert not re.search(r"(?<!\\)(?:\\\\)*\$\{", flux)
    assert _closed(influxql_string(text), "'")
    assert _closed(influxql_name(text), '"')


@given(st.text(alphabet="/\\a.\n", min_size=1))
def test_no_pattern_breaks_out_of_its_literal(text: str) -> None:
    """A regular expression with slashes and backslashes ends where its literal ends, or is refused."""
    selection = Selection("m", ("f",), (Matcher("host", "=~", text),))
    try:
        written = influxql_from_selection(selection, None, START, STOP, "60s", None)
    except ValueError as error:
        assert "backslash" in str(error)
        return
    pattern = written.split("=~ ", 1)[1].split(" GROUP BY", 1)[0]
    assert re.fullmatch(r"/(?:[^/\\\n]|\\.)*/", pattern)


@pytest.mark.parametrize(("ns", "text"), [(MINUTE, "60s"), (5 * 10**8, "500ms"), (1_500, "1500ns"), (2_000, "2us")])
def test_durations(ns: int, text: str) -> None:
    """In the largest unit up to seconds that needs no fraction."""
    assert duration(ns) == text


FLUX = 'from(bucket: "b") |> range(start: v.timeRangeStart, stop: v.timeRangeStop)'
BERLIN = "Europe/Berlin"
FROM, UNTIL = "2024-05-01T03:00:00Z", "2024-05-01T03:10:00Z"


@pytest.mark.parametrize(
    ("language", "text", "filled"),
    [
        ("flux", "start: v.timeRangeStart, stop: v.timeRangeStop", f"start: {FROM}, stop: {UNTIL}"),
        ("flux", "every: v.windowPeriod // v.other", "every: 60s // v.other"),
        ("influxql", "$timeFilter", f"time >= {START} AND time < {STOP}"),
        ("influxql", "$start $stop $interval $__interval $other", f"{START} {STOP} 60s 60s $other"),
        ("sql", "$timeFilter", f"time >= '{FROM}' AND time < '{UNTIL}'"),
        ("sql", "$start $interval", f"'{FROM}' INTERVAL '60 seconds'"),
    ],
)
def test_the_span_is_put_in(language: Language, text: str, filled: str) -> None:
    """The names known from InfluxDB's pages and Grafana are replaced, and no others."""
    assert fill_in(text, language, START, STOP, MINUTE, None) == filled


@pytest.mark.parametrize(
    ("language", "text", "zone", "message"),
    [
        ("flux", 'from(bucket: "b") |> range(start: -1h)', None, "does not say which time"),
        ("flux", 'from(bucket: "b") |> range(start: v.timeRangeStart)', None, "v.timeRangeStop"),
        ("flux", f"{FLUX} |> aggregateWindow(every: 5m, fn: mean)", None, "windows of 5m do not fit rows of 1m"),
        ("flux", f"{FLUX} |> aggregateWindow(every: 1mo, fn: mean)", None, "windows of 1mo"),
        ("flux", f"{FLUX} |> aggregateWindow(every: 1m, period: 5m, fn: mean)", None, "windows of 5m"),
        ("flux", f"{FLUX} |> aggregateWindow(every: 1m, offset: 30s, fn: mean)", None, "shifted by an offset"),
        ("flux", f"{FLUX} |> mean()", BERLIN, "timezone.location"),
        ("influxql", "SELECT mean(x) FROM y GROUP BY time(1m)", None, r"\$timeFilter"),
        ("influxql", "SELECT mean(x) FROM y WHERE $timeFilter GROUP BY time(7s)", None, "windows of 7s"),
        ("influxql", "SELECT mean(x) FROM y WHERE $timeFilter GROUP BY time(1m, 30s)", None, "shifted by an offset"),
        ("influxql", "SELECT mean(x) FROM y WHERE $timeFilter GROUP BY time(1d)", BERLIN, r"tz\('Europe/Berlin'\)"),
        ("influxql", "SELECT x FROM y WHERE $timeFilter; DROP DATABASE y", None, "several statements"),
        ("influxql", "SELECT x INTO z FROM y WHERE $timeFilter", None, "without INTO"),
        ("influxql", "DROP MEASUREMENT y", None, "begin it with SELECT"),
        ("influxql", "SELECT x FROM y -- WHERE $timeFilter", None, "does not say which time"),
        ("sql", "SELECT date_bin(INTERVAL '7 minutes', time) FROM y WHERE $timeFilter", None, "windows of 7 minutes"),
        ("sql", "SELECT date_bin(INTERVAL '1 month', time) FROM y WHERE $timeFilter", None, "windows of 1 month"),
    ],
)
def test_a_query_that_cannot_work_is_refused(language: Language, text: str, zone: str | None, message: str) -> None:
    """Before it is sent, with what to write instead."""
    assert is_given(text, language)
    with pytest.raises(ValueError, match=message):
        check_given(text, language, DAY if zone else MINUTE, zone)


@pytest.mark.parametrize(
    ("language", "text", "zone"),
    [
        ("flux", f'{FLUX} |> filter(fn: (r) => r.url == "http://x; y") |> aggregateWindow(every: 10s, fn: mean)', None),
        ("flux", f'{FLUX} |> window(every: 1d, location: timezone.location(name: "{BERLIN}"))', BERLIN),
        ("influxql", "select x from y where z = 'a;b into -- c' AND $timeFilter group by time(1m), \"h;x\";", None),
        ("influxql", f"SELECT mean(x) FROM y WHERE $timeFilter GROUP BY time(1d) tz('{BERLIN}')", BERLIN),
        ("influxql", "SELECT x FROM y WHERE time >= $start AND time < $stop GROUP BY time($interval)", None),
        ("sql", "WITH a AS (SELECT 1) SELECT * FROM y WHERE time >= $start AND time < $stop", None),
        ("sql", "SELECT date_bin_gapfill(INTERVAL '30 seconds', time) FROM y WHERE $timeFilter", None),
    ],
)
def test_a_query_that_works_is_let_through(language: Language, text: str, zone: str | None) -> None:
    """Text within quotes and comments is no part of the query's form."""
    assert is_given(text, language)
    check_given(text, language, DAY if zone else MINUTE, zone)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("aggregateWindow(every: 1m, fn: mean)", True),
        ('aggregateWindow(every: 1m, fn: mean, timeSrc: "_start")', False),
        ("// aggregateWindow(every: 1m)\nfilter()", False),
        ('window(every: 1m) |> mean() |> duplicate(column: "_stop", as: "_time")', True),
        ('window(every: 1m) |> mean() |> duplicate(column: "_start", as: "_time")', False),
    ],
)
def test_which_time_a_window_bears(text: str, ends: bool) -> None:
    """Flux writes the window's end, unless the query says otherwise."""
    assert labels_ends(f"{FLUX} |> {text}", "flux") == ends


@pytest.mark.parametrize("text", ['"from"."selected"', "cpu.from", "selection.x | mean"])
def test_the_short_form_is_not_taken_for_a_language(text: str) -> None:
    """Measurements may be called what they like."""
    assert not is_given(text, "flux")
    assert not is_given(text, "influxql")


def test_groups_are_conditions_on_tags() -> None:
    """Any value of a tag stands as a literal; labels that are no tags of the server's choose nothing."""
    groups = frozenset(
        {(("_field", "f"), ("dc", 'x"'), ("host", "it's")), (("_field", "f"), ("dc", ""), ("host", "b"))}
    )
    minute = pd.Timedelta("1min")
    asked = ReadRequest((), HOUR, HOUR + minute, minute, ("host", "_field", "dc"), groups)
    selection = of_groups(parse_selection('m.f{a="b"}'), asked)
    flux = flux_from_selection(selection, "b", START, STOP, "60s", None)
    assert (
        'r["a"] == "b" and ((not exists r["dc"] and r["host"] == "b") or (r["dc"] == "x\\"" and r["host"] == "it\'s"))'
    ) in flux
    influxql = influxql_from_selection(selection, None, START, STOP, "60s", None)
    assert """"a" = 'b' AND (("dc" = '' AND "host" = 'b') OR ("dc" = 'x"' AND "host" = 'it\\'s')) GROUP""" in influxql


def test_all_groups_are_no_condition() -> None:
    """So are no labels to distinguish them by, and more groups than a query should name."""
    selection, minute = parse_selection("m.f"), pd.Timedelta("1min")
    many = frozenset({(("host", str(at)),) for at in range(1001)})
    for groupby, groups in ((("host",), None), ((), frozenset({()})), (("host",), many)):
        asked = ReadRequest((), HOUR, HOUR + minute, minute, groupby, groups)
        assert of_groups(selection, asked) == selection
