"""docs/configuration.md against the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tsdiff_monitor.config.lint import lint
from tsdiff_monitor.config.loader import SECTIONS, load_config
from tsdiff_monitor.config.schema import json_schema

DOCUMENT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")

HEADINGS = {
    "Settings": "`settings`",
    "WebSettings": "`settings.web`",
    "DeliverySettings": "`settings.delivery`",
    "DiffusionModelConfig": "Model `diffusion`",
    "BaselineModelConfig": "Model `baseline`",
    "CsdiReferenceConfig": "Model `csdi_reference`",
    "SchedulerConfig": "`schedulers`",
    "MonitorConfig": "`monitors`",
    "QueryConfig": "Queries",
    "CalendarEntry": "Calendar",
    "EventPolicy": "Events",
}


def chapter(definition: str) -> str:
    """The text under a definition's heading; sub-models of plug-ins may be documented anywhere."""
    kind, _, plugin = definition.partition(".")
    heading = HEADINGS.get(definition, f"{kind.capitalize()} `{plugin}`" if plugin else "")
    if not heading:
        return DOCUMENT
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/configuration.md has no heading {heading!r}"
    return found[1]


def default_of(key: str, value: dict[str, Any], definition: dict[str, Any]) -> str | None:
    """A key's default as the table writes it; None where it need not be written."""
    if key in definition.get("required", []):
        return "**required**"
    if "default" not in value or "$ref" in value:
        return None
    default = value["default"]
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def test_every_key_is_documented_with_its_default() -> None:
    """Each key of the schema has a row in its table, and the row's default is the code's."""
    for name, definition in json_schema()["$defs"].items():
        full = definition["anyOf"][1] if "anyOf" in definition else definition
        for key, value in full.get("properties", {}).items():
            row = re.search(rf"^\| `{key}` \|[^\n]*$", chapter(name), re.MULTILINE)
            assert row is not None, f"docs/configuration.md does not document {name}: {key}"
            default = default_of(key, value, full)
            if chapter(name) != DOCUMENT and default is not None:
                assert row[0].split(" | ")[2] == default, f"docs/configuration.md has an old default of {name}: {key}"


def test_every_section_has_a_chapter() -> None:
    """Each section of the file has a heading of its own."""
    for section in SECTIONS:
        assert f"\n## `{section}`\n" in DOCUMENT


def test_example_is_good(tmp_path: Path) -> None:
    """The file shown in the documentation is valid and draws no warning."""
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "monitor.yml"
    path.write_text(example, encoding="utf-8")
    config = load_config(path, environ={"ONCALL_URL": "https://localhost/hook", "ONCALL_SECRET": "x"})
    assert lint(config) == []
