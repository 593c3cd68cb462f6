"""Lookups in a configuration class by key path: the type, the valid keys, the documentation, the secrets.

A path holds what a user writes, key by key: ``("queries", "cpu", "expr")``; list items are numbers.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["KeyPath", "documentation", "mentions_secret", "path_text", "resolve", "secret_values", "step", "valid_keys"]

KeyPath = tuple[str | int, ...]


def path_text(*parts: str | int) -> str:
    """``monitors.hosts.notify[0]``: a path as messages write it."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def step(annotation: Any, part: str | int) -> Any:
    """The type found one key (or list position) below ``annotation``; None where nothing is known."""
    for option in _options(annotation):
        if _is_model(option):
            field = _fields(option).get(str(part))
            if field is not None:
                return field.annotation
        elif isinstance(origin := get_origin(option), type):
            arguments = get_args(option)
            if issubclass(origin, Mapping) and len(arguments) == 2:
                return arguments[1]
            if issubclass(origin, (Sequence, set, frozenset)) and arguments:
                return arguments[0]
    return None


def resolve(annotation: Any, path: KeyPath) -> Any:
    """The type at the end of ``path``; None where nothing is known."""
    for part in path:
        annotation = step(annotation, part)
    return annotation


def valid_keys(annotation: Any) -> tuple[str, ...]:
    """The keys that may be written in a mapping of this type, in the order of their documentation."""
    return tuple(key for option in _options(annotation) if _is_model(option) for key in _fields(option))


def documentation(annotation: Any, key: str) -> str:
    """The first sentence of a key's documentation; empty where there is none."""
    for option in _options(annotation):
        if _is_model(option) and key in _fields(option):
            return (_fields(option)[key].description or "").split(". ")[0].rstrip(".")
    return ""


def mentions_secret(annotation: Any) -> bool:
    """True if values of this type are secrets, directly or in a list or mapping; secrets of sub-models do not count."""
    if annotation in (SecretStr, SecretBytes):
        return True
    return any(mentions_secret(argument) for argument in get_args(annotation))


def secret_values(annotation: Any, value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every secret text within ``value``, which is the user's raw data for ``annotation``, with its path."""
    if isinstance(value, str):
        if mentions_secret(annotation):
            yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from secret_values(step(annotation, key), inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from secret_values(step(annotation, position), inner, (*path, position))


def _options(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union, without the metadata of ``Annotated``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _options(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _options(argument)
    else:
        yield annotation


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}
