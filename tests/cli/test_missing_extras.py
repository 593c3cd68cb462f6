"""A package of an extra is not installed: one line says which component needs it and what installs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SQL = {"type": "sql", "url": "sqlite:////srv/shop.db", "table": "orders", "time": "at"}
_POSTGRES = {**_SQL, "url": "postgresql://user:password@localhost/shop"}
_QUIET = "monitors.hosts.calendar.quiet"
_REMOTE = {"type": "remote_write", "url": "http://localhost:9090/api/v1/write"}

# For each module: where the configuration asks for it, the value there, the line without the file's name.
MISSING = {
    "cramjam": (
        ("writers", "prom"), _REMOTE,
        "writers.prom.type: the remote_write writer needs cramjam: pip install 'tsdiff-monitor[remote-write]'",
    ),
    "sqlalchemy": (
        ("readers", "shop"), _SQL,
        "readers.shop.type: the sql reader needs sqlalchemy: pip install 'tsdiff-monitor[sql]'",
    ),
    "psycopg": (
        ("readers", "shop"), _POSTGRES,
        "readers.shop.url: PostgreSQL needs psycopg: pip install 'tsdiff-monitor[postgres]'",
    ),
    "croniter": (
        ("monitors", "hosts", "calendar"), {"quiet": {"cron": "0 2 * * sun", "lasts": "2h"}},
        f"{_QUIET}.cron: `cron` of a calendar needs croniter: pip install 'tsdiff-monitor[calendar]'",
    ),
    "icalendar": (
        ("monitors", "hosts", "calendar"), {"quiet": {"ics": "/srv/holidays.ics"}},
        f"{_QUIET}.ics: `ics` of a calendar needs icalendar: pip install 'tsdiff-monitor[calendar]'",
    ),
    "recurring_ical_events": (
        ("monitors", "hosts", "calendar"), {"quiet": {"ics": "/srv/holidays.ics"}},
        f"{_QUIET}.ics: `ics` of a calendar needs recurring-ical-events: "
        "pip install 'tsdiff-monitor[calendar]'",
    ),
    "onnxruntime": (
        ("models", "default", "runtime"), "onnx",
        "models.default.runtime: `runtime: onnx` needs onnxruntime: pip install 'tsdiff-monitor[onnx]'",
    ),
    "sktime": (
        ("models", "other"), {"type": "baseline", "method": "forecaster"},
        "models.other.method: `method: forecaster` needs sktime: pip install sktime",
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", MISSING)
def test_check_config_names_the_extra(
    module: str,
    cli: Any,
    write_config: Callable[[Any], Path],
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line, with the key that asks for the package, is all that is said; without that key all is well."""
    document |= {"notifiers": {"terminal": {"type": "console"}}}
    document["monitors"]["hosts"]["notify"] = ["terminal"]
    monkeypatch.setitem(sys.modules, module, None)  # what `import` and `find_spec` take as not installed
    assert cli("check", "config", write_config(document)).code == 0
    path, value, line = MISSING[module]
    section = document
    for key in path[:-1]:
        section = section.setdefault(key, {})
    section[path[-1]] = value
    config = write_config(document)
    outcome = cli("check", "config", config)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"{config}: {line}\n")
    monkeypatch.undo()
    assert "needs" not in cli("check", "config", config).err


def test_other_mistakes_are_named_beside_a_missing_package(
    cli: Any, write_config: Callable[[Any], Path], document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package does not hide a mistyped key."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    document["readers"]["shop"] = {**_SQL, "tabel": "orders"}
    outcome = cli("check", "config", write_config(document))
    assert "the sql reader needs sqlalchemy" in outcome.err
    assert "readers.shop.tabel: unknown key" in outcome.err


def test_the_schema_needs_no_extra(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component's keys are in the schema, installed or not."""
    whole = cli("check", "schema").out
    for module in MISSING:
        monkeypatch.setitem(sys.modules, module, None)
    assert cli("check", "schema").out == whole
