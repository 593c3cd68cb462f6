"""Reports of pydantic in the words of the person who wrote the file: key path, problem, remedy, never a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tsdiff_monitor.errors import ConfigProblem
from tsdiff_monitor.settings.keys import (
    KeyPath,
    documentation,
    path_text,
    resolve,
    secret_values,
    valid_keys,
)
from tsdiff_monitor.settings.suggest import did_you_mean

__all__ = ["validation_problems"]

_SHORTEST_SECRET = 4  # replacing shorter texts would only garble messages

_FIXED = {
    "string": ("must be text", "put it in quotes"),
    "int": ("must be a whole number", ""),
    "float": ("must be a number", ""),
    "finite": ("must be a finite number", ""),
    "bool": ("must be true or false", ""),
    "path": ("must be a file path", "put it in quotes"),
    "mapping": ("must be a mapping", "write keys with values below it"),
    "list": ("must be a list", "write it like [a, b]"),
}
_KINDS = {
    "string_type": "string",
    "string_sub_type": "string",
    "int_type": "int",
    "int_parsing": "int",
    "int_parsing_size": "int",
    "int_from_float": "int",
    "float_type": "float",
    "float_parsing": "float",
    "finite_number": "finite",
    "bool_type": "bool",
    "bool_parsing": "bool",
    "path_type": "path",
    "dict_type": "mapping",
    "mapping_type": "mapping",
    "model_type": "mapping",
    "model_attributes_type": "mapping",
    "list_type": "list",
    "tuple_type": "list",
    "set_type": "list",
    "frozen_set_type": "list",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def validation_problems(error: ValidationError, model: type[BaseModel], raw: Any, *at: str) -> list[ConfigProblem]:
    """The problems pydantic found in ``raw``, the data written for ``model`` at the path ``at``."""
    texts = {text for _, text in secret_values(model, raw) if len(text) >= _SHORTEST_SECRET}
    secrets = sorted({*texts, *(repr(text)[1:-1] for text in texts)}, key=len, reverse=True)
    problems = []
    for details in error.errors(include_url=False):
        path: KeyPath = tuple(part for part in details["loc"] if part != "[key]")
        problem, remedy = _words(details["type"], details, model, path)
        for secret in secrets:  # a careless validator may quote the value
            problem, remedy = problem.replace(secret, "<secret>"), remedy.replace(secret, "<secret>")
        problems.append(ConfigProblem(path_text(*at, *path), problem, remedy))
    return problems


def _words(kind: str, details: Mapping[str, Any], model: type[BaseModel], path: KeyPath) -> tuple[str, str]:
    context = details.get("ctx", {})
    if kind == "missing":
        meaning = documentation(resolve(model, path[:-1]), str(path[-1]))
        return "is required", f"add it: {meaning}" if meaning else "add it"
    if kind == "extra_forbidden":
        known = valid_keys(resolve(model, path[:-1]))
        return "unknown key", did_you_mean(str(path[-1]), known, "valid keys") if known else "remove it"
    if kind in _KINDS:
        return _FIXED[_KINDS[kind]]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        return f"must be {words} {bound:g}" if isinstance(bound, float) else f"must be {words} {bound}", ""
    if kind in ("too_short", "string_too_short"):
        least = f"{context['min_length']} {'character' if kind == 'string_too_short' else 'entry'}"
        return "is empty" if not details["input"] else "is too short", f"give at least {least}"
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"])
        close = difflib.get_close_matches(str(details["input"]), re.findall(r"'([^']*)'", expected), n=1)
        return f"must be {expected}", f"did you mean `{close[0]}`?" if close else ""
    if kind in ("value_error", "assertion_error"):
        problem, _, remedy = str(context["error"]).partition("; ")
        return problem, remedy
    return re.sub(r"^\w+ should", "must", str(details["msg"])), ""
