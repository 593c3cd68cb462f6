"""Secrets of plug-in configurations: a value, or a file that holds it.

For a plug-in author: every secret key gets a twin that ends in ``_file``, and the secret is resolved where it
is used, not when the configuration is read, so that a rotated file takes effect without a restart::

    class Config(StrictModel):
        token: SecretStr | None = None
        '''Bot token; better given as `token_file` or as `${NAME}`.'''
        token_file: Path | None = None
        '''File that holds the token; read again each time it is used.'''

    headers = {"Authorization": f"Bearer {resolve_secret(config.token, config.token_file)}"}

Values are pydantic ``SecretStr``: their repr, ``str()`` and JSON form are masked. When a configuration is read, every
such pair is checked, in sub-models too: both keys at once and a file that cannot be read are errors that name the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.settings import keys

__all__ = ["resolve_secret", "twin_problems"]

_SUFFIX = "_file"


def resolve_secret(value: SecretStr | None, file: Path | None) -> str | None:
    """The secret in clear text, read from ``file`` now when it is given by file; None when it is not given at all.

    White space around a file's content (the line end that editors add) is no part of the secret.
    Raises :class:`ConfigError` naming the file, never its content, when both are given or the file cannot be used.
    """
    if value is not None and file is not None:
        raise ConfigError(str(file), [ConfigProblem("", "the secret is given both inline and by file", "keep one")])
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _unusable(file, f"the secret cannot be read: {error.strerror or type(error).__name__}") from None
    except ValueError:  # not UTF-8, or a path with a NUL
        raise _unusable(file, "the secret cannot be read: not a text file (UTF-8)") from None
    if not secret:
        raise _unusable(file, "the secret cannot be read: the file is empty")
    return secret


def twin_problems(annotation: Any, value: Any, path: keys.KeyPath) -> Iterator[ConfigProblem]:
    """Problems with the secrets and their files in ``value``, the raw data of a configuration class."""
    if not isinstance(value, (dict, list)):
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from twin_problems(keys.step(annotation, key), inner, (*path, key))
    if isinstance(value, list):
        return
    for key in keys.valid_keys(annotation):
        twin = key + _SUFFIX
        if value.get(twin) is None or not keys.mentions_secret(keys.step(annotation, key)):
            continue
        if value.get(key) is not None:
            where = keys.path_text(*path, key)
            yield ConfigProblem(where, f"is given together with `{twin}`", "keep one of the two")
        elif isinstance(value[twin], str):
            where = keys.path_text(*path, twin)
            try:
                resolve_secret(None, Path(value[twin]))
            except ConfigError as error:
                for problem in error.problems:
                    yield ConfigProblem(where, f"{error.file}: {problem.problem}", problem.remedy)


def _unusable(file: Path, problem: str) -> ConfigError:
    return ConfigError(str(file), [ConfigProblem("", problem, "name a readable file that holds the secret")])
