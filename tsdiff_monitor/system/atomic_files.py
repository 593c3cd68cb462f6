"""Files that appear whole or not at all, and errors that say how to make room for them.

A result is written beside its target and moved onto it when complete, so that a crash, a full disk or a reader at the
wrong moment never meets half a file.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsdiff_monitor.errors import OutputError

__all__ = ["atomic_path", "check_writable"]

_REMEDIES = {
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOSPC: "the disk is full: free some space, or choose another place",
    errno.EDQUOT: "your disk quota is used up: free some space, or choose another place",
    errno.EISDIR: "this is a folder: name a file in it",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path in ``target``'s folder that becomes ``target`` when the block ends well, else disappears.

    Missing folders are created; an existing file is replaced and its permissions are kept. Every ``OSError`` raised in
    the block counts as a failure to write ``target`` and becomes an :class:`OutputError`: do nothing else in it.
    """
    target = Path(target)
    try:
        final = _checked(target)
        final.parent.mkdir(parents=True, exist_ok=True)
        part = _new_file(final)
    except OSError as error:
        raise _output_error(target, error) from error
    try:
        yield part
        if final.exists():
            shutil.copymode(final, part)
        _sync(part)
        part.replace(final)
        _sync(final.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _output_error(target, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_writable(target: Path) -> None:
    """Raise :class:`OutputError` now if ``target`` could not be written; leaves nothing behind.

    To be called before long work. Folders still missing are judged by the nearest one that exists.
    """
    target = Path(target)
    try:
        final = _checked(target)
        folder = final.parent
        while not folder.exists():
            folder = folder.parent
        probe = _new_file(folder / final.name)
        probe.unlink()
    except OSError as error:
        raise _output_error(target, error) from error


def _checked(target: Path) -> Path:
    """The file that ``target`` finally names, behind any symbolic link, so that a link survives being written."""
    final = Path(os.path.realpath(target))
    if final.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if final.exists():
        if not final.is_file():  # replacing /dev/null by a file would harm the machine
            raise OSError(errno.EINVAL, "it is neither a file nor a folder")
        if not os.access(final, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only")
    return final


def _new_file(final: Path) -> Path:
    """Create an empty file beside ``final`` (the suffix stays: writers choose the format by it)."""
    part = final.with_name(f".{final.stem[:100]}.{secrets.token_hex(4)}.part{final.suffix}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # unlike tempfile's 0600, the umask's choice
    return part


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _output_error(target: Path, error: OSError) -> OutputError:
    remedy = _REMEDIES.get(error.errno or 0, "choose another place")
    return OutputError(f"{target}: cannot be written: {error.strerror or error}; {remedy}")
