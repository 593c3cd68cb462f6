"""TLS for notifiers: what :mod:`tsdiff_monitor.http.tls` does, with its errors as one line that names the key first."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from tsdiff_monitor.errors import ConfigError
from tsdiff_monitor.http import tls
from tsdiff_monitor.http.options import TlsConfig
from tsdiff_monitor.http.tls import Material, tls_words

__all__ = ["Material", "make_context", "read_material", "tls_words"]


def read_material(config: TlsConfig) -> Material:
    """The files' content now. Raises ``ValueError`` naming the key of one that cannot be read."""
    with _in_a_line():
        return tls.read_material(config)


def make_context(config: TlsConfig) -> ssl.SSLContext:
    """A context for clients. Raises ``ValueError`` when a file does not hold what it should."""
    with _in_a_line():
        return tls.make_context(config)


@contextmanager
def _in_a_line() -> Iterator[None]:
    """The notifier's name opens the message already, so that the file's cannot."""
    try:
        yield
    except ConfigError as error:
        (problem,) = error.problems
        remedy = f"; {problem.remedy}" if problem.remedy else ""
        raise ValueError(f"`{problem.key}`: {error.file} {problem.problem}{remedy}") from None
