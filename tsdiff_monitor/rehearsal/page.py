"""A rehearsal as one self-contained HTML page, in the style of the backtest's report; it fetches and runs nothing."""

from __future__ import annotations

from functools import cache

import jinja2

from tsdiff_monitor.rehearsal import phrases
from tsdiff_monitor.rehearsal.outcome import SELDOM, Outcome
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["render"]


def render(outcome: Outcome) -> str:
    """The page. The same outcome always yields the same text."""
    return (
        _environment()
        .get_template("rehearsal.html")
        .render(
            outcome=outcome,
            verdict=phrases.verdict(outcome),
            facts=phrases.facts(outcome),
            seldom=SELDOM,
            kind_name=phrases.kind_name,
            group_name=group_name,
            waited=lambda rows: format_duration((rows * outcome.step).to_pytimedelta()),
            version=__version__,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    places = [jinja2.PackageLoader("tsdiff_monitor.rehearsal"), jinja2.PackageLoader("tsdiff_monitor.backtest.report")]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
