"""The configuration file as a JSON Schema (draft 2020-12), for editors and for checks without this program.

Entries of ``readers``, ``writers`` and ``notifiers`` differ by ``type``; only the plug-ins of this distribution are
described, so the result does not depend on what else is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time, timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from tsdiff_monitor.config.loader import KINDS, LoadPlugin
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.detectors.config import DEFAULT_TYPE, MODEL_TYPES
from tsdiff_monitor.plugins import Kind, load_plugin, plugin_types
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["json_schema"]

_OWN_PACKAGES = "tsdiff_"
_KIND_DOCS: dict[Kind, str] = {
    "readers": "Sources of series, by name.",
    "writers": "Stores for scores, by name.",
    "notifiers": "Recipients of events, by name.",
}


class _Generator(GenerateJsonSchema):
    """Without titles that repeat the keys, and with defaults as users write them."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  (pydantic passes it)
        return False

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return f"{dft:%H:%M}" if isinstance(dft, time) else super().encode_default(dft)


def json_schema(
    *, types: Callable[[Kind], Mapping[str, str]] = plugin_types, load: LoadPlugin = load_plugin
) -> dict[str, Any]:
    """The schema of a whole file. ``types`` and ``load`` find the plug-ins; the same plug-ins give the same schema."""
    plugins: dict[tuple[Kind, str], type[BaseModel]] = {
        (kind, name): load(kind, name).Config  # type: ignore[attr-defined]  # every plug-in class carries it
        for kind in KINDS
        for name, target in sorted(types(kind).items())
        if target.startswith(_OWN_PACKAGES)
    }
    sections = (Settings, *MODEL_TYPES.values(), SchedulerConfig, MonitorConfig)
    models: list[type[BaseModel]] = list(dict.fromkeys((*sections, *plugins.values())))
    refs, root = models_json_schema([(model, "validation") for model in models], schema_generator=_Generator)
    definitions: dict[str, Any] = _on_one_line(root["$defs"])
    copies = {key: definitions[_definition(refs, model)] for key, model in plugins.items()}
    for model in set(plugins.values()):
        definitions.pop(_definition(refs, model))
    for (kind, name), copy in copies.items():
        definitions[_entry(kind, name)] = _with_type(copy, name)

    for kind_of_model, model in MODEL_TYPES.items():
        if kind_of_model != DEFAULT_TYPE:  # without its type, an entry is one of the default
            definition = definitions[_definition(refs, model)]
            definition["required"] = ["type", *definition.get("required", [])]
            definition["properties"]["type"].pop("default")

    def entries(kind: Kind) -> dict[str, Any]:
        options = [{"$ref": f"#/$defs/{_entry(kind, name)}"} for of, name in plugins if of == kind]
        return {"oneOf": options} if options else {"type": "object"}

    properties: dict[str, Any] = {
        "settings": {"$ref": refs[Settings, "validation"]["$ref"], "description": "What holds for the whole process."},
        **{kind: _by_name(_KIND_DOCS[kind], entries(kind)) for kind in KINDS},
        "models": _by_name(
            "How detectors are built and fit, by name.",
            {"oneOf": [refs[model, "validation"] for model in MODEL_TYPES.values()]},
        ),
        "schedulers": _by_name("When scores and fits run, by name.", refs[SchedulerConfig, "validation"]),
        "monitors": _by_name("What is watched, by name.", refs[MonitorConfig, "validation"], minProperties=1),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tsdiff-monitor configuration",
        "type": "object",
        "additionalProperties": False,
        "required": ["readers", "schedulers", "monitors"],
        "properties": properties,
        "$defs": dict(sorted(definitions.items())),
    }


def _on_one_line(schema: Any) -> Any:
    """The schema with every description's line breaks turned into blanks."""
    if isinstance(schema, dict):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _on_one_line(value)
            for key, value in schema.items()
        }
    return [_on_one_line(item) for item in schema] if isinstance(schema, list) else schema


def _definition(refs: Mapping[Any, Mapping[str, Any]], model: type[BaseModel]) -> str:
    return str(refs[model, "validation"]["$ref"]).removeprefix("#/$defs/")


def _entry(kind: Kind, name: str) -> str:
    return f"{kind[:-1]}.{name}"


def _with_type(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A plug-in's schema with ``type`` as its first key."""
    kind = {"const": name, "description": "Which plug-in this is."}
    entry = {**schema, "properties": {"type": kind, **schema.get("properties", {})}}
    entry["required"] = ["type", *schema.get("required", [])]
    entry.pop("title", None)
    return entry


def _by_name(description: str, entry: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "additionalProperties": dict(entry), **more}
