"""The fewest metrics that explain an event: the sentence, and the JSON form."""

from __future__ import annotations

import json

import pytest

from tsdiff_monitor.events.event import Event
from tsdiff_monitor.events.explanation import Explanation, explanation_sentence
from tsdiff_monitor.testing import example_event


@pytest.mark.parametrize(
    ("metrics", "over", "text"),
    [
        (("cpu",), False, "cpu alone explains it: with it as expected the peak score would be 0.6 instead of 4.2."),
        (
            ("cpu",),
            True,
            "cpu alone explained it: with it as expected the peak score would have been 0.6 instead of 4.2.",
        ),
        (
            ("memory", "gc"),
            False,
            "memory and gc together explain it: with both as expected the peak score would be 0.6 instead of 4.2.",
        ),
        (
            ("a", "b", "c"),
            True,
            "a, b and c together explained it: with all three as expected the peak score would have been 0.6 instead "
            "of 4.2.",
        ),
        (
            ("a", "b", "c", "d"),
            False,
            "a, b, c and d together explain it: with all 4 as expected the peak score would be 0.6 instead of 4.2.",
        ),
    ],
)
def test_the_sentence(metrics: tuple[str, ...], over: bool, text: str) -> None:
    """It names the metrics as they are written, in number and tense as English has it."""
    assert explanation_sentence(Explanation(metrics, 4.2, 0.6), over=over, name=str, number=str) == text


def test_names_and_numbers_are_written_as_asked() -> None:
    """A place with marks of its own for names, or its own way to write numbers, uses these."""
    said = explanation_sentence(
        Explanation(("a", "b"), 4.204, 0.6), over=False, name="`{}`".format, number="{:.1f}".format
    )
    assert said.startswith("`a` and `b` together")
    assert said.endswith("0.6 instead of 4.2.")


def test_json_keeps_it() -> None:
    """The store and the API give back what was found; an event without an explanation has no such key."""
    event = example_event(explanation=Explanation(("memory", "cpu"), 4.21, 0.61))
    raw = json.loads(json.dumps(event.to_json()))
    assert raw["explanation"] == {"metrics": ["memory", "cpu"], "score_before": 4.21, "score_after": 0.61}
    assert Event.from_json(raw) == event
    assert "explanation" not in example_event().to_json()


def test_events_of_an_older_version_are_read() -> None:
    """JSON that was stored before there were explanations is an event without one."""
    raw = example_event(explanation=Explanation(("cpu",), 4.21, 0.5)).to_json()
    del raw["explanation"]
    assert Event.from_json(raw) == example_event()
