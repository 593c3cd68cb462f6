"""Packages that only some components need: which extra brings each, and the sentence for the user who lacks one.

The base installation is for the configuration of the README and for the demo; why is in ``docs/adr/0002-libraries.md``.
A package of an extra is imported inside the functions that use it, never when a module is imported.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.util import find_spec

__all__ = ["EXTRAS", "missing_package"]

EXTRAS: Mapping[str, str] = {
    "cramjam": "remote-write",
    "croniter": "calendar",
    "icalendar": "calendar",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "psycopg": "postgres",
    "recurring_ical_events": "calendar",
    "sqlalchemy": "sql",
}
"""Extra of each module that the base installation lacks; in step with ``pyproject.toml``."""

_PACKAGES = {"psycopg": "psycopg[binary]", "recurring_ical_events": "recurring-ical-events"}
"""Names by which pip knows modules, where they differ."""
_LEFT_OUT = ("sktime",)
"""Modules of the base installation that `deploy/edge-requirements.txt` leaves out, beside torch."""


def missing_package(user: str, *modules: str) -> str:
    """The sentence about the first of the top-level ``modules`` that cannot be found; empty when all are there.

    ``user`` is what needs them: ``the sql reader needs sqlalchemy: pip install 'tsdiff-monitor[sql]'``. Where torch is
    left out, as on machines at the edge, the package itself is named, because an extra would bring torch along. The
    package of a stranger's module is not guessed. Nothing is imported.
    """
    for module in modules:
        if find_spec(module) is not None:
            continue
        package = _PACKAGES.get(module, module)
        sentence = f"{user} needs {package.partition('[')[0]}"
        if module in EXTRAS and find_spec("torch") is not None:
            return f"{sentence}: pip install 'tsdiff-monitor[{EXTRAS[module]}]'"
        if module in EXTRAS or module in _LEFT_OUT:
            return f"{sentence}: pip install {shlex.quote(package)}"
        return f"{sentence}, which is not installed"
    return ""
