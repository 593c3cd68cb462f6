"""A copy of the daemon's state, for work beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tsdiff_monitor.errors import StoreError

__all__ = ["copy_state"]


def copy_state(storage: Path, work: Path) -> None:
    """Copy the state below ``storage`` into the folder ``work``, without its deliveries; nothing where there is none.

    A daemon may be writing meanwhile: it is neither stopped nor changed. Raises :class:`StoreError`.
    """
    source = storage / "state.sqlite"
    if not source.exists():
        return
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as known,
            closing(sqlite3.connect(work / "state.sqlite")) as copy,
        ):
            known.backup(copy)
            copy.execute("DELETE FROM deliveries")
            copy.commit()
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"{source}: the events known so far cannot be read ({error}); give another --storage.path, or fix this one"
        ) from error
