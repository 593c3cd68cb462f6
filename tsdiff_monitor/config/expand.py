"""``${NAME}`` in configuration values: replaced by the environment variable NAME.

Expansion works on the values of the parsed document, so a variable's content can never change the document's
structure. ``$${`` stands for a literal ``${``; every other ``$`` is left alone. An unset variable is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tsdiff_monitor.errors import ConfigProblem
from tsdiff_monitor.settings.keys import KeyPath, path_text

__all__ = ["expand", "has_reference"]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")


def expand(value: Any, environ: Mapping[str, str], path: KeyPath = ()) -> tuple[Any, list[ConfigProblem]]:
    """``value`` with every reference replaced, and what could not be replaced. Keys are left as they are."""
    problems: list[ConfigProblem] = []

    def visit(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: visit(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [visit(inner, (*path, position)) for position, inner in enumerate(value)]
        return _REFERENCE.sub(lambda match: replace(match, path), value) if isinstance(value, str) else value

    def replace(match: re.Match[str], path: KeyPath) -> str:
        name = match[1]
        if match[0] == "$${":
            return "${"
        if name is None:
            malformed = "`${` is not followed by the name of a variable and `}`"
            problems.append(ConfigProblem(path_text(*path), malformed, "write `${NAME}`, or `$${` for a literal `${`"))
        elif name in environ:
            return environ[name]
        else:
            unset = f"the environment variable {name} is not set"
            remedy = f"set {name}, or write `$${{{name}}}` if the text is meant literally"
            problems.append(ConfigProblem(path_text(*path), unset, remedy))
        return match[0]

    return visit(value, path), problems


def has_reference(text: str) -> bool:
    """True for a raw value that takes anything from the environment."""
    return any(match[1] for match in _REFERENCE.finditer(text))
