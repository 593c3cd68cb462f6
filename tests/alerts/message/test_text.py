"""Numbers and times as a person reads them."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_alerts.message.phrases import (
    culprit_text,
    duration_text,
    json_text,
    link_items,
    number_text,
    printable,
    rate_text,
    shorten,
    span_text,
    summary,
    sureness_text,
)
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import Change, Culprit
from tsdiff_monitor.testing import example_change, example_event


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (93.123, "93.1"),
        (55.0, "55"),
        (0.0, "0"),
        (-0.5, "-0.500"),
        (1234.0, "1,234"),
        (9994.0, "9,994"),
        (9996.0, "10.0k"),
        (41_200.0, "41.2k"),
        (999_600.0, "1.00M"),
        (1.5e9, "1.50G"),
        (1.5e12, "1.50T"),
        (-1e30, "-1.00e+30"),
        (0.00123, "0.00123"),
        (1.2e-7, "1.20e-07"),
        (None, "no data"),
        (float("nan"), "no data"),
        (float("inf"), "no data"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    """Three digits, thousands marked, large units named, and words where there is no number."""
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_short(value: float) -> None:
    """No number, however unusual, takes more than a glance."""
    assert len(number_text(value)) <= 10


@pytest.mark.parametrize(
    ("culprit", "text"),
    [
        (Culprit("m", 1, 93.1, 48.0, 41.2, 55.0), "93.1, expected 41.2–55"),
        (Culprit("m", 1, 1_000_234.0, 1.0, 1_000_100.0, 1_000_200.0), "1.00023M, expected 1.00010M–1.00020M"),
        (Culprit("m", 1, 5.0, -1.0, -2.5, 2.0), "5, expected -2.50 to 2"),
        (Culprit("m", 1, None, 1.0, 0.5, 1.5), "no data, expected 0.500–1.50"),
        (Culprit("m", 1, 5.0, 1.0, None, None), "5, expected 1"),
        (Culprit("m", 1, 5.0, None, None, None), "5"),
        (Culprit("m", 1, None, None, None, None), "no data"),
        (Culprit("m", 1, 3.0, 3.0, 3.0, 3.0), "3, expected 3–3"),
        (Culprit("m", 1, 93.1, 48.0, 41.2, 55.0, "%"), "93.1 %, expected 41.2–55 %"),
        (Culprit("m", 1, 1.5e9, 1e9, 9e8, 1.1e9, "B"), "1.50 GB, expected 900M–1.10G B"),
        (Culprit("m", 1, 41_200.0, 1e9, 2e4, 3e4, "req/s"), "41.2k req/s, expected 20k–30k req/s"),
        (Culprit("m", 1, None, 1.0, -0.5, 1.5, "s"), "no data, expected -0.500 to 1.50 s"),
    ],
)
def test_actual_against_expected(culprit: Culprit, text: str) -> None:
    """The numbers of one line always differ where the values do, and a missing one is said."""
    assert culprit_text(culprit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (3569, "59 min"),
        (3599, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 d"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """At most two units."""
    assert duration_text(seconds) == text


@given(st.text())
def test_printable_text_is_one_line(text: str) -> None:
    """For any content of a label, one line comes out, as long as it was."""
    shown = printable(text)
    assert shown.isprintable() and len(shown) == len(text)


def test_json_is_strict() -> None:
    """Numbers that JSON lacks become null, at any depth."""
    assert json.loads(json_text({"a": [float("nan"), (1.5, float("-inf"))], "b": "ü"})) == {
        "a": [None, [1.5, None]],
        "b": "ü",
    }


def test_the_span_of_an_event() -> None:
    """Its start and how long it has lasted; once it is over, both ends, the day named once."""
    assert span_text(example_event()) == "since 2024-05-01 03:05 UTC, 7 min so far"
    resolved = example_change(Change.resolved).event
    assert span_text(resolved) == "2024-05-01 03:05 UTC to 03:30 UTC, 25 min"
    overnight = example_event(end=pd.Timestamp("2024-05-02T01:05:00Z"))
    assert span_text(overnight) == "2024-05-01 03:05 UTC to 2024-05-02 01:05 UTC, 22 h"


@pytest.mark.parametrize(
    ("peak", "text"),
    [
        (1.1, "not very sure (peak score 1.10; alarms start at 1)"),
        (1.5, "fairly sure (peak score 1.50; alarms start at 1)"),
        (2.0, "sure (peak score 2; alarms start at 1)"),
        (412.0, "very sure (peak score 412; alarms start at 1)"),
        (float("nan"), "not sure (peak score no data; alarms start at 1)"),
    ],
)
def test_how_sure(peak: float, text: str) -> None:
    """The score in words; the word grows with it."""
    assert sureness_text(example_event(peak=peak)) == text


@pytest.mark.parametrize(
    ("allowed", "seen", "text"),
    [
        (1.0, 0.7, "This monitor lately: 0.7 alarms a week not marked as real, 1 allowed"),
        (0.25, 1.0, "This monitor lately: 1 alarm a week not marked as real, 0.25 allowed"),
        (None, 12.4, "This monitor lately: 12 alarms a week not marked as real"),
        (1.0, None, "This monitor: 1 false alarm a week allowed"),
        (2.0, None, "This monitor: 2 false alarms a week allowed"),
        (1.0, 0.0, "This monitor lately: 0 alarms a week not marked as real, 1 allowed"),
        (None, None, None),
    ],
)
def test_the_alarm_rate(allowed: float | None, seen: float | None, text: str | None) -> None:
    """Alarms seen beside alarms promised; no one claims to know which alarms were false."""
    assert rate_text(Details(allowed_per_week=allowed, seen_per_week=seen)) == text


def test_links() -> None:
    """Only addresses that a browser opens, each with a title."""
    links = {"dashboard": "https://a.example", "mark_as_real": "http://b.example", "x": "file:///etc", "": "https://c"}
    found = link_items(Details(links=links))
    assert found == [("Dashboard", "https://a.example"), ("Mark as real", "http://b.example"), ("Link", "https://c")]


def test_one_line() -> None:
    """Everything that matters in a line, however long the names are."""
    assert summary(example_change()).endswith("memory 0.0125, expected 0.0102–0.0119; and 1 more")
    assert summary(example_change(culprits=())) == "hosts: instance=web-1 is behaving abnormally"
    endless = (Culprit("m" * 5000, 1.0, 1e30, None, -1e30, 0.0),) * 9
    assert len(summary(example_change(culprits=endless, monitor="h" * 5000))) < 600


@given(st.text(), st.integers(1, 50))
def test_short_text_fits(text: str, limit: int) -> None:
    """A text that is cut ends in an ellipsis and is never longer than asked."""
    short = shorten(text, limit)
    assert len(short) <= limit and short.isprintable()
    assert short.endswith("…") or short == printable(text).strip()
