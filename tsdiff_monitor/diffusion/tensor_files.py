"""Files of tensors: safetensors with a checksum that is kept elsewhere, and files with two names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsdiff_monitor.errors import DamagedModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["State", "checked", "holds", "linked", "packed", "unpacked"]

State = Mapping[str, "Tensor | np.ndarray"]
"""Tensors by name."""


def packed(state: State) -> bytes:
    """The content of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.asarray(values, order="C") for name, values in state.items()})


def unpacked(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """The tensors of a file. Raises :class:`DamagedModelError` when it is not what the checksum says."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = checked(path, sha256)
    try:
        return load(data)
    except SafetensorError as error:
        raise DamagedModelError(f"{path}: damaged ({error}); fit again") from None


def checked(path: Path, sha256: str) -> bytes:
    """A file's content. Raises :class:`DamagedModelError` when it is not what the checksum says."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedModelError(f"{path}: cannot be read ({error.strerror}); fit again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedModelError(f"{path}: damaged, its checksum is not the card's; fit again")
    return data


def holds(path: Path, content: bytes) -> bool:
    """True where the file is there with just this content."""
    with suppress(OSError):
        return path.read_bytes() == content
    return False


def linked(source: Path, target: Path, content: bytes) -> bool:
    """Make ``target`` another name of ``source`` if that has this content; False where that cannot be done."""
    if not holds(source, content):
        return False
    try:
        target.unlink(missing_ok=True)
        target.hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        return False
    return True
