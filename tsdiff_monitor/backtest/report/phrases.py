"""Numbers, times and sentences as a person on call reads them."""

from __future__ import annotations

import math

import pandas as pd
from markupsafe import Markup

from tsdiff_monitor.backtest.report.replay import Replay
from tsdiff_monitor.backtest.report.summary import Assessment, Summary
from tsdiff_monitor.events.event import Culprit, Event
from tsdiff_monitor.events.explanation import explanation_sentence

__all__ = ["at_peak", "counted", "explained", "moment", "number", "percent", "span", "title_of", "verdict"]

_NONE = "–"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def number(value: float | None, digits: int = 4) -> str:
    """Four significant digits or fewer: ``412``, ``0.0123``, ``18,204``, ``3.4M``, ``2.1e-07``."""
    if value is None or not math.isfinite(value):
        return _NONE
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.2g}"
    for scale, letter in _LARGE:
        if size >= scale:
            return f"{value / scale:.{digits}g}{letter}"
    return f"{value:,.0f}" if size >= 1_000 else f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    """A share of one in whole percent that no line break divides; ``<1 %`` rather than a zero that is none."""
    if share is None or not math.isfinite(share):
        return _NONE
    return f"{'<1' if 0 < share < 0.005 else format(share * 100, '.0f')}\u00a0%"


def moment(time: pd.Timestamp, *, seconds: bool = False) -> str:
    """A UTC time to the minute, or to the second where the grid is finer than a minute."""
    return time.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: ``38m``, ``1d 4h``, ``2m 30s``; below a second ``0.25s``."""
    if seconds is None or not math.isfinite(seconds):
        return _NONE
    if 0 < seconds < 1:
        return f"{seconds:.2g}s"
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}" if count else "")
    first = next((index for index, part in enumerate(parts) if part), None)
    return "0s" if first is None else " ".join(part for part in parts[first : first + 2] if part)


def counted(count: int, noun: str) -> str:
    """``1 event``, ``2 events``, ``no events``."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def at_peak(culprit: Culprit) -> str:
    """A metric at the peak, actual against expected, without its name: ``was 412, expected 80–121, and …``."""
    was = "had no value" if number(culprit.actual, 3) == _NONE else f"was {number(culprit.actual, 3)}"
    return f"{was}, {_expected(culprit)}, and carries {percent(culprit.attribution)} of the score"


def explained(event: Event) -> Markup:
    """The fewest metrics that explain an event, in a sentence with their names as code; empty where there are none."""
    if event.explanation is None:
        return Markup()
    sentence = explanation_sentence(
        event.explanation, over=event.end is not None, name=Markup("<code>{}</code>").format, number=_score
    )
    return Markup(sentence)  # noqa: S704 (the names in it are escaped)


def _score(score: float) -> str:
    return number(score, 3)


def _expected(culprit: Culprit) -> str:
    lower, upper = number(culprit.expected_lower, 3), number(culprit.expected_upper, 3)
    if _NONE not in (lower, upper):
        joint = " to " if "-" in lower + upper else "–"  # a dash between negative numbers is unreadable
        return f"expected {lower}{joint}{upper}" if lower != upper else f"expected {lower}"
    around = number(culprit.expected, 3)
    return "with no expectation to compare it with" if around == _NONE else f"expected about {around}"


def verdict(replay: Replay, assessment: Assessment) -> list[str]:
    """The report in plain sentences, the most important one first."""
    summary = assessment.summary
    if not summary.rows:
        return ["Nothing was scored: no row of this replay held a value."]
    length = span((replay.end - replay.start).total_seconds())
    if summary.labelled_incidents is None:
        rate = f", {summary.events / replay.weeks:.3g} a week" if summary.events and replay.weeks else ""
        promise = f"The promise is at most {replay.alarms_per_week:g} false a week."
        judge = "The data carries no labels, so which events were real is for you to judge. " if summary.events else ""
        return [f"{counted(summary.events, 'event').capitalize()} in {length}{rate}.", judge + promise]
    return [_incidents(summary, summary.labelled_incidents), _false(replay, summary, length)]


def _incidents(summary: Summary, labelled: int) -> str:
    detected = summary.detected_incidents or 0
    if not labelled:
        return "The labels name no incident in this span."
    delay = f", half of them within {span(summary.median_delay_seconds)}" if detected > 1 else ""
    if detected == 1:
        delay = f", {span(summary.median_delay_seconds)} after it began"
    if detected == labelled:
        return (
            f"{'The one' if labelled == 1 else f'All {labelled}'} labelled incident{'s' * (labelled > 1)} found{delay}."
        )
    if not detected:
        return f"None of the {counted(labelled, 'labelled incident')} was found."
    return f"{detected} of {labelled} labelled incidents found{delay}; {labelled - detected} missed."


def _false(replay: Replay, summary: Summary, length: str) -> str:
    false, rate = summary.false_events or 0, summary.false_events_per_week
    if not false or rate is None:
        return f"No false events in {length}; the promise is at most {replay.alarms_per_week:g} a week."
    promised = f"promised {replay.alarms_per_week:g}"
    text = f"{counted(false, 'false event').capitalize()} in {length}: {rate:.3g} a week, {promised}."
    if rate <= replay.alarms_per_week:
        return text
    chance = _at_least(false, replay.alarms_per_week * replay.weeks)
    if chance < 0.05:
        return f"{text} That is more than chance explains: the promise was not kept here."
    return f"{text} Were the promise kept, so many would still come in {percent(chance)} of spans this short."


def _at_least(count: int, mean: float) -> float:
    """The probability of ``count`` or more Poisson events where ``mean`` are due."""
    term, below = math.exp(-mean), 0.0
    for k in range(count):
        below += term
        term *= mean / (k + 1)
    return max(1.0 - below, 0.0)


def title_of(event: Event, *, seconds: bool = False) -> str:
    """``2025-03-12 14:03 – 14:41``; the date of the end only where it differs."""
    first = moment(event.start, seconds=seconds)
    if event.end is None:
        return f"{first} – still open"
    last = moment(event.end, seconds=seconds)
    return f"{first} – {last[11:] if last[:10] == first[:10] else last}"
