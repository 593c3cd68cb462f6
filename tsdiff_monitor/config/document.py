"""The YAML file as plain data, with every key that is given twice.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``no`` and ``13:30`` are
texts, where YAML 1.1 reads false and 810. Keys are always texts. Nothing but plain data is ever constructed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.settings import keys

__all__ = ["Document", "read_document"]

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 PyYAML's own name


for _name, _pattern, _first in (
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), list(_first))


@dataclass(frozen=True)
class Document:
    """A file's data as written (``${NAME}`` not yet replaced) and what is wrong with its keys."""

    data: dict[str, Any] = field(repr=False)
    problems: tuple[ConfigProblem, ...] = ()


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises :class:`ConfigError` when it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _error(path, f"cannot be read: {error.strerror or type(error).__name__}", "check the path") from None
    except ValueError:
        raise _error(path, "is not UTF-8 text", "save it as UTF-8") from None
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            shape = "is empty" if root is None else "is not a mapping of sections"
            raise _error(path, shape, "it needs at least readers, schedulers and monitors")
        problems = tuple(_check_keys(root, ()))
        return Document(loader.construct_document(root), problems)
    except yaml.YAMLError as error:
        raise _error(path, *_describe(error)) from None
    except (ValueError, KeyError, AttributeError):  # how PyYAML's constructors fail; their texts quote the value
        raise _error(path, "a value does not fit its tag (!!int and the like)", "leave the tag out") from None
    except RecursionError:
        raise _error(path, "is nested too deeply, or an alias contains itself", "write the mapping out") from None
    finally:
        if loader is not None:
            loader.dispose()


def _check_keys(node: yaml.Node, path: keys.KeyPath) -> Iterator[ConfigProblem]:
    """Problems with the keys of all mappings; turns every key into text on the way."""
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _check_keys(item, (*path, position))
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or not str(key.value).strip():
            where = keys.path_text(*path)
            raise yaml.MarkedYAMLError(problem=f"a key of `{where}` is not a text", problem_mark=key.start_mark)
        if key.tag != _TAG + "merge":
            key.tag = _TAG + "str"
        if key.value in lines:
            yield _twice((*path, key.value), lines[key.value], line)
        lines[key.value] = line
        yield from _check_keys(value, path if key.tag == _TAG + "merge" else (*path, key.value))


def _twice(path: keys.KeyPath, first: int, second: int) -> ConfigProblem:
    of_query = len(path) == 4 and path[0] == "monitors" and path[2] == "queries"
    problem = f"{'query name' if of_query else 'key'} used twice, in lines {first} and {second}"
    return ConfigProblem(keys.path_text(*path), problem, "rename or remove one of them")


def _describe(error: yaml.YAMLError) -> tuple[str, str]:
    """Problem and remedy. What the parser quotes from the file (an alias, a tag) may be part of a secret: left out."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "holds a character that YAML does not allow", "remove control characters"
    where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    problem = error.problem or "cannot be understood"
    if "undefined alias" in problem:
        problem = "a value begins with * but is no alias of an anchor"
    elif "constructor for the tag" in problem:
        problem = "a value begins with ! but is no known tag"
    elif "anchor" in problem:
        problem = "an anchor (&) is defined twice"
    elif "'\\t'" in problem:
        return f"{where}: not valid YAML: a tab", "indent with spaces"
    else:
        return f"{where}: not valid YAML: {problem}", "check indentation, colons and quotes there"
    return f"{where}: {problem}", "put the value in quotes"


def _error(path: Path, problem: str, remedy: str) -> ConfigError:
    return ConfigError(str(path), [ConfigProblem("", problem, remedy)])
