"""docs/notifiers.md is true: its keys, its examples, its pictures, its reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tsdiff_alerts.grafana import GrafanaNotifier
from tsdiff_alerts.slack import SlackNotifier
from tsdiff_alerts.slack.refusals import FORM_REFUSED, KNOWN_CODES, refusal_of
from tsdiff_monitor.settings_model import StrictModel

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "notifiers.md").read_text(encoding="utf-8")
CONFIGS: dict[str, type[StrictModel]] = {"slack": SlackNotifier.Config, "grafana": GrafanaNotifier.Config}


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_is_documented(name: str) -> None:
    """Each key stands in its notifier's table, and the table names no key that does not exist."""
    table = section(name.capitalize()).split("| key | default | meaning |\n")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} == set(CONFIGS[name].model_fields)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_examples_are_valid(name: str) -> None:
    """The configurations shown are accepted as they stand."""
    (shown,) = re.findall(r"^```yaml\nnotifiers:\n(.*?)^```", section(name.capitalize()), re.DOTALL | re.MULTILINE)
    (given,) = yaml.safe_load(shown).values()
    assert given.pop("type") == name
    CONFIGS[name].model_validate(given)


def test_the_manifest_asks_for_what_is_used() -> None:
    """The scopes in the manifest are those that the table explains."""
    (shown,) = re.findall(r"^ +```yaml\n(.*?)^ +```", PAGE, re.DOTALL | re.MULTILINE)
    scopes: list[Any] = yaml.safe_load(shown)["oauth_config"]["scopes"]["bot"]
    table = PAGE.split("| scope | without it |\n")[1].split("\n\n")[0]
    assert set(scopes) == set(re.findall(r"`(\w+:\w+)`", table))


def test_every_reason_is_documented() -> None:
    """Each reason that Slack's codes lead to has a row that says whether it is tried again."""
    rows = PAGE.split("| reason | what Slack said |")[1].split("\n\n")[0]
    for code in [*KNOWN_CODES, *FORM_REFUSED, "restricted_action", "something_new"]:
        refusal = refusal_of(code)
        (row,) = [line for line in rows.splitlines() if f"`{refusal.reason}`" in line.split("|")[1]]
        assert row.split("|")[3].strip().startswith("yes" if refusal.recoverable else "no"), code


def test_the_pictures_are_there() -> None:
    """Every picture that the page shows exists, and is small enough for a page."""
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)
    assert len(shown) == 2
    assert all(0 < (DOCS / one).stat().st_size < 150_000 for one in shown)
