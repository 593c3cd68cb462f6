"""The sentence that says which few metrics explain an event."""

from __future__ import annotations

from collections.abc import Callable

from tsdiff_alerts.message.phrases import number_text, shorten
from tsdiff_monitor.events.event import Event
from tsdiff_monitor.events.explanation import explanation_sentence

__all__ = ["explanation_text"]

_NAME = 80


def explanation_text(event: Event, name: Callable[[str], str] = lambda metric: shorten(metric, _NAME)) -> str | None:
    """``memory and gc together explain it: with both as expected the peak score would be 0.6 instead of 4.2.``

    None where the event has no explanation. ``name`` writes a metric's name as it is to be shown.
    """
    if event.explanation is None:
        return None
    return explanation_sentence(event.explanation, over=event.end is not None, name=name, number=_score)


def _score(score: float) -> str:
    return number_text(score, 2)
