"""The contracts for readers, writers and notifiers, and how they are found.

A plug-in is a class registered under one of the entry-point groups ``tsdiff_monitor.readers``,
``tsdiff_monitor.writers`` and ``tsdiff_monitor.notifiers``; the entry point's name is its ``type`` in the
configuration. The class carries its configuration model as ``Config`` and is built as ``cls(config, context)``.
Built-in plug-ins enter through this same door. Conformance kits: :mod:`tsdiff_monitor.testing`. The values that the
contracts mention can be imported from here as well.
"""

from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange, Severity
from tsdiff_monitor.plugins.abilities import close_plugin, pace_of, receipt_keeper
from tsdiff_monitor.plugins.context import Context
from tsdiff_monitor.plugins.contracts import (
    Closable,
    Extent,
    GroupSelector,
    History,
    Incident,
    LabelledSpan,
    Measured,
    NeedsPackages,
    Notifier,
    Paced,
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
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.deadline import BusyError, DeadlineError, Lane, call_within
from tsdiff_monitor.timeseries.frame import Frame, Group, Series, from_samples, group_name
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = [
    "BusyError",
    "Change",
    "Closable",
    "Context",
    "Culprit",
    "DeadlineError",
    "Event",
    "EventChange",
    "Extent",
    "Frame",
    "Group",
    "GroupSelector",
    "History",
    "Incident",
    "Kind",
    "LabelledSpan",
    "Lane",
    "Measured",
    "NeedsPackages",
    "Notifier",
    "Paced",
    "Query",
    "ReadRequest",
    "Reader",
    "Reading",
    "Receipt",
    "ReceiptKeeper",
    "Refresher",
    "ScoreBatch",
    "Series",
    "Severity",
    "StrictModel",
    "TakesQueryOptions",
    "Writer",
    "call_within",
    "close_plugin",
    "from_samples",
    "group_name",
    "load_plugin",
    "pace_of",
    "plugin_types",
    "receipt_keeper",
]
