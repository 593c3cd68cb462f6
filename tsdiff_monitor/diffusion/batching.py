"""Batching: how many windows go through the network at once, so that memory stays bounded."""

from __future__ import annotations

__all__ = ["CELLS_AT_ONCE", "windows_at_once"]

CELLS_AT_ONCE = 4_000_000
"""Bounds a batch: windows x rows x channels."""
_LEAST_CHANNELS = 128
"""What a row takes inside the network, however few its metrics."""


def windows_at_once(window: int, metrics: int, cells: int = CELLS_AT_ONCE) -> int:
    """The number of windows of ``window`` rows and ``metrics`` columns that ``cells`` allow, at least one."""
    return max(cells // (window * max(metrics, _LEAST_CHANNELS)), 1)
