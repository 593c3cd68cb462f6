"""The number of CPU threads for networks: one for the whole process, in every runtime."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["threads", "use_threads"]

_count: int | None = None


def use_threads(count: int) -> None:
    """Fits, and models loaded from now on, take ``count`` threads at most."""
    global _count
    _count = count
    with suppress(ImportError):  # small machines score without torch
        import torch

        torch.set_num_threads(count)


def threads() -> int | None:
    """The number asked for; None: as many as there are cores."""
    return _count
