"""docs/notifiers.md and the pages beside it are true: keys, examples, pictures, what is sent, reasons."""

from __future__ import annotations

import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from tests.alerts.pagerduty.pagerduty_server import KEY, PagerDuty
from tests.alerts.payments import payments_change
from tsdiff_alerts.pagerduty import PagerDutyNotifier
from tsdiff_alerts.slack.refusals import FORM_REFUSED, KNOWN_CODES, refusal_of
from tsdiff_alerts.webhook import WebhookNotifier
from tsdiff_alerts.webhook.json_template import JsonTemplate
from tsdiff_monitor.cli import app
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.http.options import ConnectionOptions
from tsdiff_monitor.plugins import Context

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "notifiers.md").read_text(encoding="utf-8")
TEMPLATES = (DOCS / "webhook-templates.md").read_text(encoding="utf-8")
ROUTES = (DOCS / "routes.md").read_text(encoding="utf-8")
NOTIFIERS = {point.name: point for point in entry_points(group="tsdiff_monitor.notifiers")}
TITLES = {"alertmanager": "Alertmanager", "pagerduty": "PagerDuty"}
EXAMPLES = [  # the manifest of Slack's app is in a list, indented
    text for page in (PAGE, TEMPLATES, ROUTES) for text in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.M)
]
MONITOR = """
readers:
  files: {type: files, path: .}
schedulers:
  minutely: {infer_every: 1m, fit_every: 1d, offset: 1m}
monitors:
  checkout:
    {reader: files, scheduler: minutely, groupby: [service], step: 1m, queries: {all: "*"}, alarms_per_week: 1}
"""


def section(name: str) -> str:
    """The text under a notifier's heading."""
    return PAGE.split(f"\n## {TITLES.get(name, name.capitalize())}\n")[1].split("\n## ")[0]


def keys_in(text: str) -> set[str]:
    """The keys that the tables in a text name."""
    tables = [part.split("\n\n")[0] for part in text.split("| key | default | meaning |\n")[1:]]
    cells = re.findall(r"^\| (`.*?) \|", "\n".join(tables), re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def examples_of(text: str) -> list[dict[str, Any]]:
    """The notifiers that a page or a section configures."""
    blocks = re.findall(r"^```yaml\n(notifiers:\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [one for block in blocks for one in yaml.safe_load(block)["notifiers"].values()]


@pytest.mark.parametrize("name", NOTIFIERS)
def test_every_key_is_documented(name: str) -> None:
    """Each key has a row, under its notifier or among those that all share over HTTP, and no row lacks its key."""
    config: Any = NOTIFIERS[name].load().Config
    shared = keys_in(PAGE.split("\n## ")[0])
    assert shared == set(ConnectionOptions.model_fields)
    wanted = {field.alias or key for key, field in config.model_fields.items()}
    assert keys_in(section(name)) == wanted - (shared if issubclass(config, ConnectionOptions) else set())


@pytest.mark.parametrize("name", NOTIFIERS)
def test_every_notifier_is_set_up_in_ten_lines_and_shown(name: str) -> None:
    """A section shows how to set its notifier up, in ten lines at most, and what arrives: a picture or what is sent."""
    text = section(name)
    (example,) = examples_of(text)
    assert example["type"] == name
    assert len(re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[0].splitlines()) <= 10
    assert re.search(r"^!\[[^\]]+\]\(images/|^```json$", text, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split()[1].strip(":"))
def test_examples_pass_the_check(example: str, tmp_path: Path) -> None:
    """Pasted behind a monitor, what the pages say to write is good for ``check config``, without a warning.

    The files and variables that it takes secrets from are there.
    """
    environment = dict.fromkeys(re.findall(r"\$\{(\w+)\}", example), "https://open.sesame.example")
    for name in re.findall(r"/etc/tsdiff-monitor/(\S+)", example):
        (tmp_path / name).write_text("https://open.sesame.example/")
        (tmp_path / name).chmod(0o600)
    written = yaml.safe_load(MONITOR) | yaml.safe_load(example.replace("/etc/tsdiff-monitor", str(tmp_path)))
    notified = {name for route in written.get("settings", {}).get("routes", []) for name in route["notifiers"]}
    written.setdefault("notifiers", {name: {"type": "console"} for name in notified})
    written["monitors"]["checkout"]["notify"] = sorted(set(written["notifiers"]) - notified)
    path = tmp_path / "monitor.yml"
    path.write_text(yaml.safe_dump(written))
    result = CliRunner().invoke(app, ["check", "config", str(path)], env=environment)
    assert result.exit_code == 0, result.output


def test_templates_make_json() -> None:
    """Each template on the page makes JSON that names the group."""
    templates = [example["template"] for example in examples_of(TEMPLATES)]
    assert len(templates) == 3
    for template in templates:
        assert "payments" in json.dumps(JsonTemplate(template)(payments_change()))


def test_what_pagerduty_is_sent_is_as_shown() -> None:
    """The JSON under PagerDuty is what the notifier sends of the event that the page shows."""
    service = PagerDuty()
    config = PagerDutyNotifier.Config.model_validate({"routing_key": KEY})
    PagerDutyNotifier(config, Context(name="pager", transport=httpx.MockTransport(service))).notify(payments_change())
    ((sent,),) = service.open.values()
    (shown,) = re.findall(r"```json\n(.*?)```", section("pagerduty"), re.DOTALL)
    assert json.loads(shown) == sent


def test_what_a_webhook_is_sent_is_as_shown() -> None:
    """The JSON under Webhook is what is sent but for what the page says it leaves out."""
    bodies: list[Any] = []

    def take(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200)

    config = WebhookNotifier.Config.model_validate({"url": "https://hook.example/"})
    WebhookNotifier(config, Context(name="hook", transport=httpx.MockTransport(take))).notify(payments_change())
    (sent,) = bodies
    snapshot = sent["details"].pop("snapshot")
    del sent["event"]["culprits"][1:]
    (shown,) = re.findall(r"```json\n(.*?)```", section("webhook"), re.DOTALL)
    assert json.loads(shown) == sent
    named = set(re.findall(r"`(\w+)`", section("webhook").split("`details.snapshot`")[1].split("```")[0]))
    assert {*snapshot, *snapshot["courses"][0]} - {"metric"} <= named


def test_the_pictures_are_there() -> None:
    """Every picture shown exists and is small enough for a page, and none lies there unused."""
    shown = set(re.findall(r"!\[[^\]]+\]\(images/([^)]+)\)", PAGE))
    assert shown == {path.name for path in (DOCS / "images").iterdir()}
    assert all(0 < (DOCS / "images" / one).stat().st_size < 150_000 for one in shown)


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


def test_every_key_of_routes_is_documented() -> None:
    """Each key of a route has a row, and the table names no key that does not exist."""
    assert keys_in(ROUTES) == set(Route.model_fields)
