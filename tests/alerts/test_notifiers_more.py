"""The page on notifiers is true: its examples load, and it names every key and reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tsdiff_alerts.alertmanager import AlertmanagerNotifier
from tsdiff_alerts.http_options import ServerOptions
from tsdiff_alerts.json_template import JsonTemplate
from tsdiff_alerts.pagerduty import PagerDutyNotifier
from tsdiff_alerts.smtp_mail import EmailNotifier
from tsdiff_alerts.webhook import WebhookNotifier
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.testing import example_change, example_details

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "notifiers-more.md").read_text(encoding="utf-8")
TYPES = {
    "alertmanager": AlertmanagerNotifier,
    "pagerduty": PagerDutyNotifier,
    "email": EmailNotifier,
    "webhook": WebhookNotifier,
}
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: "-".join(example.get("notifiers", ["routes"])))
def test_examples_load(example: dict[str, Any]) -> None:
    """What the page says to write is accepted as it stands; its templates make JSON of an event."""
    for raw in example.get("notifiers", {}).values():
        keys = {key: value for key, value in raw.items() if key != "type"}
        config = TYPES[raw["type"]].Config.model_validate(keys)
        if isinstance(config, WebhookNotifier.Config):
            assert config.template is not None
            assert "web-1" in str(JsonTemplate(config.template)(example_change(details=example_details())))
    for raw in example.get("routes", []):
        Route.model_validate(raw)


@pytest.mark.parametrize("kind", [*TYPES.values(), Route])
def test_every_key_is_on_a_page(kind: Any) -> None:
    """Each key has a row here or, of the webhook, on the page of plug-ins."""
    model = kind if kind is Route else kind.Config
    page = PAGE + (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    keys = {field.alias or name for name, field in model.model_fields.items()}
    missing = [key for key in keys if f"`{key}`" not in page]
    assert not missing


def test_all_examples_are_there() -> None:
    """The page shows each notifier, three templates and routes; its picture exists and is small."""
    types = [one["type"] for example in EXAMPLES for one in example.get("notifiers", {}).values()]
    assert sorted(types) == ["alertmanager", "email", "pagerduty", "webhook", "webhook", "webhook"]
    assert [example["routes"] for example in EXAMPLES if "routes" in example]
    assert set(ServerOptions.model_fields) <= set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE))
    assert (ROOT / "docs" / "images" / "email.png").stat().st_size < 150_000
