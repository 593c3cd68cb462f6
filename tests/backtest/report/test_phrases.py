"""Numbers, times and verdicts in plain words."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tsdiff_monitor.backtest.report.phrases import at_peak, explained, number, percent, span, verdict
from tsdiff_monitor.backtest.report.summary import assess
from tsdiff_monitor.events.event import Culprit
from tsdiff_monitor.events.explanation import Explanation


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (412.0, "412"),
        (0.0123456, "0.01235"),
        (18204.4, "18,204"),
        (3.4e6, "3.4M"),
        (-2.5e9, "-2.5G"),
        (2.1e-7, "2.1e-07"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers_have_four_significant_digits(value: float | None, text: str) -> None:
    """A number is short enough to read and never a bare NaN."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (41.2, "41s"),
        (150, "2m 30s"),
        (3600, "1h"),
        (100_000, "1d 3h"),
        (86_405, "1d"),
        (None, "–"),
    ],
)
def test_spans_name_two_units_at_most(seconds: float | None, text: str) -> None:
    """A length of time is rounded to what matters."""
    assert span(seconds) == text


def test_a_small_share_is_not_called_zero() -> None:
    """Only nothing is 0 %."""
    assert [percent(share) for share in (0.0, 0.001, 0.64, math.nan)] == ["0\u00a0%", "<1\u00a0%", "64\u00a0%", "–"]


@pytest.mark.parametrize(
    ("culprit", "text"),
    [
        (Culprit("m", 0.64, 412.0, 97.0, 80.0, 121.0), "was 412, expected 80–121, and carries 64 % of the score"),
        (Culprit("m", 0.5, -1.0, 0.0, -0.5, 0.5), "was -1, expected -0.5 to 0.5, and carries 50 % of the score"),
        (Culprit("m", 0.5, None, 3.0, None, None), "had no value, expected about 3, and carries 50 % of the score"),
        (
            Culprit("m", 0.5, 7.0, None, None, None),
            "was 7, with no expectation to compare it with, and carries 50 % of the score",
        ),
    ],
)
def test_a_metric_at_the_peak(culprit: Culprit, text: str) -> None:
    """Actual against expected is a sentence, also where parts of it are missing."""
    assert at_peak(culprit).replace("\u00a0", " ") == text


def test_the_fewest_metrics_that_explain_an_event(make) -> None:
    """A sentence with the names as code, in which no name is markup; nothing where nothing is known."""
    event = make.event(100, 110, explanation=Explanation(("memory", "<b>"), 6.5, 0.6123))
    assert explained(event) == (
        "<code>memory</code> and <code>&lt;b&gt;</code> together explained it: "
        "with both as expected the peak score would have been 0.612 instead of 6.5."
    )
    assert explained(make.event(100, 110)) == ""


def test_verdicts(make, labelled) -> None:
    """The first sentence says what was found and missed, the next whether the promise was kept."""
    first, second = verdict(labelled, assess(labelled))
    assert first == "2 of 3 labelled incidents found, half of them within 8m 30s; 1 missed."
    assert second.replace("\u00a0", " ") == (
        "1 false event in 10h: 16.8 a week, promised 1. "
        "Were the promise kept, so many would still come in 6 % of spans this short."
    )


def test_a_broken_promise_is_said_plainly(make) -> None:
    """Far more false events than promised are called what they are."""
    replay = make.replay(make.group(600, events=[(100, 110), (200, 210), (300, 310)], incidents=[]))
    assert verdict(replay, assess(replay))[1].endswith("the promise was not kept here.")


def test_quiet_and_empty_replays(make) -> None:
    """No labels, no events and no rows each have words of their own."""
    quiet = make.replay(make.group(600))
    assert verdict(quiet, assess(quiet)) == ["No events in 10h.", "The promise is at most 1 false a week."]
    calm = make.replay(make.group(600, incidents=[]))
    assert verdict(calm, assess(calm))[0] == "The labels name no incident in this span."
    empty = make.replay(end=pd.Timestamp("2025-03-04", tz="UTC"))
    assert verdict(empty, assess(empty)) == ["Nothing was scored: no row of this replay held a value."]
