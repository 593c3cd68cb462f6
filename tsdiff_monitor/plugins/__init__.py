"""The contracts for readers, writers and notifiers, and how they are found.

A plug-in is a class registered under one of the entry-point groups ``tsdiff_monitor.readers``,
``tsdiff_monitor.writers`` and ``tsdiff_monitor.notifiers``; the entry point's name is its ``type`` in the
configuration. The class carries its configuration model as ``Config`` and is built as ``cls(config, context)``.
Built-in plug-ins enter through this same door. Conformance kits: :mod:`tsdiff_monitor.testing`.
"""

from tsdiff_monitor.plugins.context import Context
from tsdiff_monitor.plugins.contracts import (
    Closable,
    Extent,
    GroupSelector,
    History,
    Incident,
    Measured,
    NeedsPackages,
    Notifier,
    Query,
    Reader,
    Reading,
    ReadRequest,
    Receipt,
    ReceiptKeeper,
    Refresher,
    TakesQueryOptions,
    Writer,
)
from tsdiff_monitor.plugins.registry import Kind, load_plugin, plugin_types
from tsdiff_monitor.system.deadline import BusyError, DeadlineError, Lane, call_within

__all__ = [
    "BusyError",
    "Closable",
    "Context",
    "DeadlineError",
    "Extent",
    "GroupSelector",
    "History",
    "Incident",
    "Kind",
    "Lane",
    "Measured",
    "NeedsPackages",
    "Notifier",
    "Query",
    "ReadRequest",
    "Reader",
    "Reading",
    "Receipt",
    "ReceiptKeeper",
    "Refresher",
    "TakesQueryOptions",
    "Writer",
    "call_within",
    "load_plugin",
    "plugin_types",
]
