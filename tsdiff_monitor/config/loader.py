"""From a YAML file to a checked :class:`Config`, or one :class:`ConfigError` with everything that is wrong.

The way: parse → expand ``${NAME}`` → validate each section → load plug-in classes and validate their keys →
check names and times across sections. Problems are collected along the whole way, so that one reading shows all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from tsdiff_monitor.config.checks import (
    DEFAULT_MODEL,
    package_problems,
    query_problems,
    reference_problems,
    retention_problems,
    route_problems,
    timing_problems,
)
from tsdiff_monitor.config.document import read_document
from tsdiff_monitor.config.expand import expand, has_reference
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.problems import validation_problems
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.detectors.config import MODEL_TYPES, ModelConfig, model_class
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.plugins import Kind, NeedsPackages, load_plugin, plugin_types
from tsdiff_monitor.settings.keys import KeyPath, path_text, secret_values
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.settings.secrets import twin_problems
from tsdiff_monitor.settings.suggest import did_you_mean
from tsdiff_monitor.system.extras import missing_package

__all__ = ["KINDS", "SECTIONS", "Config", "LoadPlugin", "PluginConfig", "load_config"]

KINDS: tuple[Kind, ...] = ("readers", "writers", "notifiers")
"""The sections whose entries are plug-ins."""

SECTIONS = ("settings", "readers", "models", "schedulers", "monitors", "writers", "notifiers")
"""All sections of a configuration file."""

_Model = TypeVar("_Model", bound=BaseModel)


class LoadPlugin(Protocol):
    """A way to find plug-in classes; :func:`tsdiff_monitor.plugins.load_plugin` is one."""

    def __call__(self, kind: Kind, type_name: str, *, key: str = "", file: str = "") -> type: ...


@dataclass(frozen=True)
class PluginConfig:
    """One entry of ``readers``, ``writers`` or ``notifiers``: build it as ``plugin(config, context)``."""

    plugin: type[Any]
    config: StrictModel
    type: str


@dataclass(frozen=True)
class Config:
    """A whole, checked configuration; every name a monitor mentions exists.

    ``inline_secrets`` holds the key paths of secrets written into the file in clear text.
    """

    file: str
    settings: Settings
    readers: Mapping[str, PluginConfig]
    writers: Mapping[str, PluginConfig]
    notifiers: Mapping[str, PluginConfig]
    models: Mapping[str, ModelConfig]
    schedulers: Mapping[str, SchedulerConfig]
    monitors: Mapping[str, MonitorConfig]
    inline_secrets: tuple[str, ...] = ()


def load_config(path: Path, *, environ: Mapping[str, str] = os.environ, load: LoadPlugin = load_plugin) -> Config:
    """Read and check a configuration file; changes nothing. Raises :class:`ConfigError` with all problems."""
    document = read_document(path)
    data, unset = expand(document.data, environ)
    found: list[ConfigProblem] = []
    sections = {name: _section(name, data.get(name), found) for name in SECTIONS}
    found.extend(
        ConfigProblem(name, "unknown section", did_you_mean(name, SECTIONS, "sections"))
        for name in data
        if name not in SECTIONS
    )
    if not sections["monitors"]:
        found.append(ConfigProblem("monitors", "there is none", "add at least one monitor: what is to be watched"))

    settings = _validate(Settings, sections["settings"], found, "settings")
    models = _models(sections["models"], found)
    schedulers = _entries(SchedulerConfig, "schedulers", sections, found)
    monitors = _entries(MonitorConfig, "monitors", sections, found)
    plugins: dict[Kind, dict[str, PluginConfig]] = {
        kind: _plugins(kind, sections[kind], found, load=load, file=str(path)) for kind in KINDS
    }
    if any(monitor.model == DEFAULT_MODEL for monitor in monitors.values()) and DEFAULT_MODEL not in sections["models"]:
        models[DEFAULT_MODEL] = DiffusionModelConfig()
    found.extend(reference_problems(sections))
    found.extend(package_problems(models))
    found.extend(route_problems(sections["settings"], sections["notifiers"]))
    found.extend(timing_problems(monitors, schedulers, models))
    found.extend(() if settings is None else retention_problems(settings, models))
    found.extend(query_problems(monitors, {name: (one.type, one.plugin) for name, one in plugins["readers"].items()}))

    unresolved = {problem.key for problem in unset}  # what else is wrong with these follows from that
    problems = [*document.problems, *unset, *(problem for problem in found if problem.key not in unresolved)]
    if problems:
        raise ConfigError(str(path), list(dict.fromkeys(problems)))
    assert settings is not None  # or there would be a problem
    return Config(
        file=str(path),
        settings=settings,
        readers=plugins["readers"],
        writers=plugins["writers"],
        notifiers=plugins["notifiers"],
        models=models,
        schedulers=schedulers,
        monitors=monitors,
        inline_secrets=tuple(_inline_secrets(document.data, plugins)),
    )


def _section(name: str, value: Any, found: list[ConfigProblem]) -> dict[str, Any]:
    if value is None:  # left out, or only the section's name
        return {}
    if isinstance(value, dict):
        return value
    found.append(ConfigProblem(name, "must be a mapping", "write its entries below it, indented"))
    return {}


def _validate(model: type[_Model], value: Any, found: list[ConfigProblem], *at: str) -> _Model | None:
    raw = {} if value is None else value
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found.extend(validation_problems(error, model, raw, *at))
        return None


def _entries(
    model: type[_Model], section: str, sections: Mapping[str, Mapping[str, Any]], found: list[ConfigProblem]
) -> dict[str, _Model]:
    entries = {name: _validate(model, raw, found, section, name) for name, raw in sections[section].items()}
    return {name: entry for name, entry in entries.items() if entry is not None}


def _models(section: Mapping[str, Any], found: list[ConfigProblem]) -> dict[str, ModelConfig]:
    entries: dict[str, ModelConfig] = {}
    for name, raw in section.items():
        model = model_class(raw)
        if model is None:
            unknown = f"there is no kind of model {raw['type']!r}"
            remedy = did_you_mean(str(raw["type"]), MODEL_TYPES, "types")
            found.append(ConfigProblem(path_text("models", name, "type"), unknown, remedy))
            continue
        config = _validate(model, raw, found, "models", name)
        if config is not None:
            entries[name] = config
    return entries


def _plugins(
    kind: Kind, section: Mapping[str, Any], found: list[ConfigProblem], *, load: LoadPlugin, file: str
) -> dict[str, PluginConfig]:
    entries = {}
    for name, raw in section.items():
        at = path_text(kind, name)
        if not isinstance(raw, dict):
            found.append(ConfigProblem(at, "must be a mapping", "write `type` and the other keys below it"))
            continue
        type_name = raw.get("type")
        if not isinstance(type_name, str):
            problem = "is required" if type_name is None else "must be text"
            installed = ", ".join(plugin_types(kind))
            found.append(ConfigProblem(f"{at}.type", problem, f"say which kind of {kind[:-1]} it is: {installed}"))
            continue
        try:
            plugin = load(kind, type_name, key=f"{at}.type", file=file)
        except ConfigError as error:
            found.extend(error.problems)
            continue
        model = getattr(plugin, "Config", None)
        if not (isinstance(model, type) and issubclass(model, StrictModel)):
            broken = f"the plug-in {plugin.__name__} has no configuration class `Config`"
            found.append(ConfigProblem(f"{at}.type", broken, "report this to the plug-in's author"))
            continue
        if isinstance(plugin, NeedsPackages) and (
            missing := missing_package(f"the {type_name} {kind[:-1]}", *plugin.packages)
        ):
            found.append(ConfigProblem(f"{at}.type", missing))
        keys = {key: value for key, value in raw.items() if key != "type"}
        config = _validate(model, keys, found, kind, name)
        found.extend(twin_problems(model, keys, (kind, name)))
        if config is not None:
            entries[name] = PluginConfig(plugin, config, type_name)
    return entries


def _inline_secrets(data: Mapping[str, Any], plugins: Mapping[Kind, dict[str, PluginConfig]]) -> list[str]:
    """Keys of the file, as it was written, whose secrets come from neither the environment nor another file."""
    return [
        path_text(kind, name, *path)
        for kind, entries in plugins.items()
        for name, entry in entries.items()
        for path, text in secret_values(type(entry.config), data[kind][name])
        if text
        and not has_reference(text)
        and not (_is_plain_address(text) and not (kind == "notifiers" and _has_file_twin(type(entry.config), path)))
    ]


def _is_plain_address(text: str) -> bool:
    """True for an address that is masked only because others of its kind carry a password or a token.

    Some addresses of notifiers are secrets as a whole, as anyone who knows that of a webhook can post to it: they may
    be kept in a file (:func:`_has_file_twin`).
    """
    try:
        parts = urlsplit(text)
        return bool(parts.scheme) and "://" in text and parts.password is None and not parts.query
    except ValueError:  # not an address at all
        return False


def _has_file_twin(config: type[BaseModel], path: KeyPath) -> bool:
    """True if the key at ``path`` has another, ``<key>_file``, beside it."""
    return len(path) == 1 and f"{path[0]}_file" in config.model_fields
