"""The documentation of events agrees with the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.store.schema import MIGRATIONS
from tsdiff_monitor.system.database import Database

DOC = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", EventPolicy.model_fields)
def test_every_policy_key_is_documented_with_its_default(key: str) -> None:
    """A user finds each key of the policy, and the default that applies."""
    default = getattr(EventPolicy(), key)
    shown = default if isinstance(default, int | float) else format_duration(default)
    assert f"| `{key}` | `{shown}` |" in DOC


def test_every_column_of_the_store_is_documented(tmp_path: Path) -> None:
    """The document names each table and column, for readers of the store from outside."""
    database = Database(tmp_path / "state.db", migrations=MIGRATIONS)
    tables = [name for (name,) in database.read("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in (name for name in tables if not name.startswith("sqlite_")):
        (line,) = [line for line in DOC.splitlines() if line.startswith(f"| `{table}` |")]
        for (column,) in database.read("SELECT name FROM pragma_table_info(?)", (table,)):
            assert f"`{column}`" in line
    database.close()
