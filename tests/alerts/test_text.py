"""Numbers and times as a person reads them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_alerts.text import culprit_text, duration_text, json_text, number_text, printable
from tsdiff_monitor.events.event import Culprit


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
    """No number, however odd, takes more than a glance, up to the largest unit that has a name."""
    if abs(value) < 1e15:
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
    """Whatever a label holds, one line comes out, as long as it was."""
    shown = printable(text)
    assert shown.isprintable() and len(shown) == len(text)


def test_json_is_strict() -> None:
    """Numbers that JSON lacks become null, at any depth."""
    assert json.loads(json_text({"a": [float("nan"), (1.5, float("-inf"))], "b": "ü"})) == {
        "a": [None, [1.5, None]],
        "b": "ü",
    }
