"""Folders of models that are not needed any more."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Collection
from pathlib import Path

import pandas as pd

__all__ = ["subfolders", "sweep_folder"]

_OF_GROUP = re.compile(r".*-[0-9a-f]{8}", re.DOTALL)


def subfolders(folder: Path) -> list[Path]:
    """The folders below, sorted; links and what cannot be read are left out."""
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError:
        return []


def sweep_folder(folder: Path, kept: Collection[str], before: pd.Timestamp, *, shared: str | None = None) -> int:
    """Remove a monitor's folders of groups that are not ``kept`` and did not change since; returns how many.

    The folder named ``shared`` too, if no group's is left then; and ``folder`` itself when it is empty.
    """
    gone = 0
    for one in subfolders(folder):
        if _OF_GROUP.fullmatch(one.name) and one.name not in kept:
            gone += _remove(one, before)
    if shared is not None:
        left = [one for one in subfolders(folder) if one.name != shared]
        if not left and (folder / shared / "card.json").exists():
            gone += _remove(folder / shared, before)
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
    return gone


def _remove(folder: Path, before: pd.Timestamp) -> bool:
    try:
        changed = max(one.stat().st_ctime_ns for one in (folder, *subfolders(folder)))  # a copied folder is new here
    except OSError:  # another process is replacing it
        return False
    if changed >= before.as_unit("ns").value:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
