"""A report's folder while it is being made: one run at a time, with a place for its temporary state."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tsdiff_monitor.errors import OutputError

__all__ = ["exclusive"]


@contextmanager
def exclusive(directory: Path) -> Iterator[Path]:
    """An empty work folder in ``directory``, removed at the end; what a killed run left there is cleared away.

    Folders made for it that are still empty at the end are removed too. Raises :class:`OutputError` when the directory
    cannot be written, or another process is writing to it.
    """
    work, lock = directory / ".work", directory / ".lock"
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        with _locked(directory, lock):
            try:
                _make_room(directory, work)
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
                lock.unlink(missing_ok=True)
    finally:
        for folder in missing:
            with suppress(OSError):  # it holds the report, or was never made
                folder.rmdir()


def _locked(directory: Path, lock: Path) -> IO[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = lock.open("w")
    except OSError as error:
        raise _unwritable(directory, error) from error
    with suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(held.fileno()).st_nlink:  # else its holder has just ended, and removed it
            return held
    held.close()
    raise OutputError(f"{directory}: another run is writing its report here; wait for it, or choose another folder")


def _make_room(directory: Path, work: Path) -> None:
    """Clear away what a killed run left."""
    shutil.rmtree(work, ignore_errors=True)
    try:
        for part in directory.glob(".*.????????.part.*"):  # a file that was being written
            part.unlink()
        work.mkdir()
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"{directory}: the report cannot be written here ({reason}); choose another folder")
