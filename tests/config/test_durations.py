"""Durations as users write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tsdiff_monitor.settings.durations import Duration, format_duration, parse_duration

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}


@given(st.integers(min_value=0, max_value=10**14))
def test_round_trip_of_spans(milliseconds: int) -> None:
    """Every span of whole milliseconds is written so that reading it gives the same span."""
    span = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(span)) == span


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(min_value=0, max_value=10**6), min_size=1))
def test_round_trip_of_texts(parts: dict[str, int]) -> None:
    """Every duration, however it was written, means the same after being written anew."""
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    span = parse_duration(text)
    assert span.total_seconds() == pytest.approx(sum(number * UNITS[unit] for unit, number in parts.items()))
    assert parse_duration(format_duration(span)) == span


@given(st.text(max_size=12))
def test_anything_else_is_refused_in_words(text: str) -> None:
    """A text is either a duration or an error that shows how to write one."""
    try:
        span = parse_duration(text)
    except ValueError as error:
        assert "write it like 30s" in str(error) or "longer than any timespan" in str(error)
    else:
        assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize("text", ["", "1", "1.5h", "-1h", "1m1h", "1h 30m", "h", "1H", "99999999999999y"])
def test_refused(text: str) -> None:
    """Missing units, fractions, signs, wrong order, blanks and absurd lengths are errors."""
    with pytest.raises(ValueError, match=r"duration|timespan"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "canonical"), [("0", "0s"), ("2w", "14d"), ("90m", "1h30m"), (" 5m ", "5m")])
def test_canonical_form(text: str, canonical: str) -> None:
    """Durations are written with the largest fitting units up to days."""
    assert format_duration(parse_duration(text)) == canonical


def test_field_type() -> None:
    """As a field a duration is read from text or timedelta and written as text; a bare number is refused."""
    field = TypeAdapter[timedelta](Duration)
    assert field.validate_python("1h30m") == field.validate_python(timedelta(minutes=90))
    assert field.dump_python(timedelta(minutes=90)) == "1h30m"
    with pytest.raises(ValidationError, match="write it with its unit"):
        field.validate_python(60)
