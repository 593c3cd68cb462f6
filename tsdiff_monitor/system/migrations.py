"""Migrations: an older SQLite file of ours becomes a newer one.

``PRAGMA user_version`` counts the migrations that a file has seen, ``PRAGMA application_id`` distinguishes our files
from other databases. A migration, once released, is never edited: append another.
https://www.sqlite.org/pragma.html#pragma_user_version
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from tsdiff_monitor.errors import StoreError

__all__ = ["Migration", "migrate"]

_APPLICATION_ID = 0x74734466  # "tsDf"

Migration = Sequence[str | Callable[[sqlite3.Connection], object]]
"""Statements, and functions of the connection for what SQL cannot say."""


def migrate(connection: sqlite3.Connection, where: str, migrations: Sequence[Migration]) -> None:
    """Bring a file up to date; call it within a transaction, so that it happens whole or not at all.

    Entry ``n`` of ``migrations`` turns a file of version ``n`` into one of version ``n + 1``. Raises ``StoreError`` for
    a newer file and for a database of another program.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != _APPLICATION_ID and (tables or owner or version):
        raise StoreError(f"{where}: is a database of another program; give tsdiff-monitor a storage path of its own")
    if version > len(migrations):
        raise StoreError(
            f"{where}: was written by a newer tsdiff-monitor (schema {version}, this one knows {len(migrations)}); "
            "upgrade tsdiff-monitor, or start with an empty settings.storage_path"
        )
    if owner == _APPLICATION_ID and version == len(migrations):
        return
    for steps in migrations[version:]:
        for step in steps:
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
