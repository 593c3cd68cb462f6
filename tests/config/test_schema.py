"""The JSON Schema of configuration files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from tsdiff_monitor.config.loader import SECTIONS, LoadPlugin
from tsdiff_monitor.config.schema import json_schema
from tsdiff_monitor.plugins import Kind

COMMITTED = Path(__file__).parents[2] / "docs" / "config.schema.json"


def types(kind: Kind) -> Mapping[str, str]:
    return {"readers": {"fake": "tsdiff_x:R", "strange": "stranger:S"}, "notifiers": {"fake": "tsdiff_x:N"}}.get(
        kind, {}
    )


def test_committed_file_is_current() -> None:
    """Editors get the schema of this very code: `tsdiff-monitor check schema --output docs/config.schema.json`."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == json_schema()
    assert COMMITTED.read_text(encoding="utf-8") == json.dumps(json_schema(), indent=2) + "\n"


def test_same_plugins_same_schema(load: LoadPlugin) -> None:
    """The schema is the same every time, to the byte."""
    first, second = (json.dumps(json_schema(types=types, load=load)) for _ in range(2))
    assert first == second


def test_sections_are_those_the_loader_knows() -> None:
    """The schema allows the loader's sections and no others."""
    schema = json_schema()
    assert set(schema["properties"]) == set(SECTIONS)
    assert schema["additionalProperties"] is False


def test_entries_differ_by_type(load: LoadPlugin) -> None:
    """An entry's `type` decides its keys, two plug-ins of one type do not mix, and strangers are left out."""
    schema = json_schema(types=types, load=load)
    options = schema["properties"]["readers"]["additionalProperties"]["oneOf"]
    assert options == [{"$ref": "#/$defs/reader.fake"}]
    reader, notifier = schema["$defs"]["reader.fake"], schema["$defs"]["notifier.fake"]
    assert list(reader["properties"]) == ["type", "url"]
    assert reader["properties"]["type"]["const"] == "fake"
    assert reader["required"] == ["type", "url"]
    assert notifier["required"] == ["type"]
    assert schema["properties"]["writers"]["additionalProperties"] == {"type": "object"}


def test_every_reference_leads_somewhere() -> None:
    """No definition is missing, and none is left over."""
    schema = json_schema()
    mentioned = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert mentioned == set(schema["$defs"])


def test_durations_are_patterned_texts_with_readable_defaults() -> None:
    """A duration is a text of the right form, and its default is written as users write it."""
    fit_every = json_schema()["$defs"]["SchedulerConfig"]["properties"]["fit_every"]
    assert (fit_every["type"], fit_every["default"]) == ("string", "1d")
    assert re.fullmatch(fit_every["pattern"], "1h30m")
    assert not re.fullmatch(fit_every["pattern"], "1 hour")


def test_query_may_be_its_expression() -> None:
    """A query is a text or a mapping."""
    shorthand, full = json_schema()["$defs"]["QueryConfig"]["anyOf"]
    assert shorthand["type"] == "string"
    assert full["required"] == ["expr"]


def test_every_key_is_described() -> None:
    """The docstring of each key reaches the editor."""
    schema = json_schema()
    for name, definition in schema["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            described = value.get("description") or "$ref" in value
            assert described, f"{name}.{key} has no docstring"
