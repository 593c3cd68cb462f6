"""A rehearsal as one self-contained HTML page, in the style of the backtest's report; it fetches and runs nothing."""

from __future__ import annotations

from functools import cache

import jinja2

from tsdiff_monitor import __version__
from tsdiff_monitor.durations import format_duration
from tsdiff_monitor.frame import group_name
from tsdiff_monitor.rehearse import words
from tsdiff_monitor.rehearse.outcome import SELDOM, Outcome

__all__ = ["render"]


def render(outcome: Outcome) -> str:
    """The page. The same outcome always yields the same text."""
    return (
        _environment()
        .get_template("rehearsal.html")
        .render(
            outcome=outcome,
            verdict=words.verdict(outcome),
            facts=words.facts(outcome),
            seldom=SELDOM,
            kind_name=words.kind_name,
            group_name=group_name,
            waited=lambda rows: format_duration((rows * outcome.step).to_pytimedelta()),
            version=__version__,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    places = [jinja2.PackageLoader("tsdiff_monitor.rehearse"), jinja2.PackageLoader("tsdiff_monitor.report")]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
