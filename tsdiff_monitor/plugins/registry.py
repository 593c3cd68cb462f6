"""Plug-ins by kind and type, found through entry points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Literal

from tsdiff_monitor.errors import ConfigError, ConfigProblem

__all__ = ["Kind", "load_plugin", "plugin_types"]

Kind = Literal["readers", "writers", "notifiers"]


@cache
def plugin_types(kind: Kind) -> Mapping[str, str]:
    """The installed plug-ins of a kind: type name to ``module:attribute``."""
    found = entry_points(group=f"tsdiff_monitor.{kind}")
    return {point.name: point.value for point in sorted(found, key=lambda point: point.name)}


def load_plugin(kind: Kind, type_name: str, *, key: str = "", file: str = "") -> type:
    """The plug-in class of a type. Raises :class:`ConfigError` naming the installed types when there is none."""
    for point in entry_points(group=f"tsdiff_monitor.{kind}", name=type_name):
        try:
            loaded = point.load()
        except Exception as error:  # a stranger's module may fail in any way; the user must learn which
            problem = ConfigProblem(key, f"the plug-in {type_name!r} ({point.value}) cannot be loaded: {error}")
            raise ConfigError(file, [problem]) from error
        if not isinstance(loaded, type):
            raise ConfigError(file, [ConfigProblem(key, f"the plug-in {type_name!r} ({point.value}) is not a class")])
        return loaded
    known = ", ".join(plugin_types(kind)) or "none"
    problem = ConfigProblem(key, f"there is no {kind[:-1]} of type {type_name!r}", f"installed types: {known}")
    raise ConfigError(file, [problem])
