"""Optional abilities of a plug-in, used where it has them."""

from __future__ import annotations

from tsdiff_monitor.plugins.contracts import Closable, Paced, ReceiptKeeper

__all__ = ["close_plugin", "pace_of", "receipt_keeper"]


def receipt_keeper(notifier: object) -> ReceiptKeeper | None:
    """The notifier as one that keeps receipts; None where it does not."""
    return notifier if isinstance(notifier, ReceiptKeeper) and notifier.keeps_receipts else None


def pace_of(notifier: object) -> float:
    """Seconds that the notifier wants between two messages; 0 where it does not say."""
    return float(notifier.pace) if isinstance(notifier, Paced) else 0.0


def close_plugin(plugin: object) -> None:
    """Close a plug-in that holds connections or files."""
    if isinstance(plugin, Closable):
        plugin.close()
